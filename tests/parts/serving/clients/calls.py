"""Shared by the clients: make calls one by one, and print what each returned or raised as JSON."""

import json
import os

ADDRESS = os.environ["ADDRESS"]  # host:port
AGES, RUST, BATTERY = [5.0, 0.0], [9.0, 0.0], ["low", "high"]


def key(token=os.environ["TOKEN"]):
    """The headers of one request: the clients add to what they are given."""
    return {"Authorization": f"Bearer {token}"}


class Calls:
    """What calls returned, by name."""

    def __init__(self):
        self.found = {}

    def add(self, name, value):
        self.found[name] = {"value": value}

    def failed(self, name, error):
        self.found[name] = {"error": type(error).__name__, "text": str(error)}

    def print(self):
        print(json.dumps(self.found))
