"""Feast's web interface shows the registry, and does not change it: its buttons Create, Edit and Delete are refused.

Feast checks nothing there: a deleted view is gone although models read it, and an edited one loses the tags without
which nothing of it can be used. Definitions are files: ``feast apply`` and ``feast delete``, which both take turns.
"""

import json
import re

from pantheon.features.login import SAFE, App, Receive, Scope, Send, answer

CHANGES = re.compile(r"/api/v1/(data_sources|entities|feature_services|feature_views|permissions|saved_datasets)\b.*")
SAID = (
    "Feast's page shows definitions and changes none, because models read them. Write yours as files and run "
    "`bin/pantheon feast apply`; remove one that no model uses with `bin/pantheon feast delete NAME`."
)


class ShownOnly:
    """Passes only requests to ``app`` that do not change the registry."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and changes(scope["method"], scope["path"]):
            body = {"detail": SAID, "error": {"message": SAID, "cure": ""}}  # Feast's page shows ``detail``
            await answer(send, 403, json.dumps(body).encode() + b"\n", "application/json")
        else:
            await self.app(scope, receive, send)


def changes(method: str, path: str) -> bool:
    """Whether a request would change the registry."""
    return method not in (*SAFE, "POST") or (method == "POST" and CHANGES.fullmatch(path) is not None)
