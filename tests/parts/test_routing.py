"""A key gets the same version in every process and after every restart; a choice needs neither numpy nor polars."""

import json
import subprocess
import sys

from pantheon.routing.choose import Chooser
from pantheon.routing.policy import Policy
from pantheon.routing.shares import counts, layout

KEYS = [*(f"customer-{number}" for number in range(300)), "ñandú", "", "a" * 300]
CHOOSE = """
import json, sys
from pantheon.routing.choose import Chooser
from pantheon.routing import policy
keys, raw = json.load(sys.stdin)
chooser = Chooser(policy.read_json(raw, "robots"), {"champion": "1", "challenger": "2"}, {"1", "2"})
found = [chooser.choose("request-" + key, {}, key) for key in keys]
print(json.dumps([found, sorted({"numpy", "polars", "pantheon.routing.bandit"} & set(sys.modules))]))
"""


def test_a_key_gets_the_same_version_in_other_processes_and_numpy_is_not_needed() -> None:
    policy = Policy("robots", split=layout(counts({"challenger": 30})), sticky="key")
    chooser = Chooser(policy, {"champion": "1", "challenger": "2"}, {"1", "2"})
    here = [list(chooser.choose(f"request-{key}", {}, key)) for key in KEYS]
    raw = {"salt": policy.salt, "split": policy.split, "sticky": policy.sticky}
    for seed in ("0", "1", "random"):  # of Python's own hash
        done = subprocess.run(
            [sys.executable, "-c", CHOOSE],
            input=json.dumps([KEYS, raw]),
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found, modules = json.loads(done.stdout)
        assert [[*each[:3], tuple(each[3])] for each in found] == here
        assert modules == []
    assert {each[0] for each in here} == {"1", "2"}
