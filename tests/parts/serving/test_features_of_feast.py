"""What Feast's own SDK has written, the endpoint reads without Feast: 1,000 entities, every type, nulls, times."""

import json
import os
import subprocess
from datetime import datetime
from pathlib import Path
from time import monotonic

from pantheon.engines.local import environments
from serving.features.stored import field_of, key_of, time_field_of, time_of, value_of
from tests.support import ROOT
from tests.support.feature_servers import PASSWORD
from tests.support.online import valkey

SCRIPT = ROOT / "tests" / "parts" / "serving" / "feast" / "written.py"
ENTITIES = 1_000


def test_values_and_times_are_those_that_feast_reads(tmp_path: Path) -> None:
    environments.make(["feast"])
    python = environments.folder_of("feast") / "bin" / "python"
    (tmp_path / "feast").mkdir()
    with valkey(tmp_path / "valkey") as server:
        given = [str(tmp_path / "feast"), f"127.0.0.1:{server.port}", PASSWORD, str(ENTITIES)]
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [str(python), str(SCRIPT), *given]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=170, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        feast = json.loads(done.stdout.splitlines()[-1])
        ids, times = feast["values"].pop("robot_id"), feast["times"]
        names = list(feast["values"])
        fields = [*(field_of("robots", name) for name in names), time_field_of("robots")]
        commands = [(b"HMGET", key_of("pantheon", "robot_id", id), *fields) for id in ids]
        client = server.client()
        found = client.ask(commands, monotonic() + 30)
        client.close()

    assert found[-1] == [None] * len(fields), "nobody: Feast itself says nulls"
    assert len(found) == len(times) + 1 == ENTITIES + 1
    for place, reply in enumerate(found[:-1]):
        assert time_of(reply[-1]) == datetime.fromisoformat(times[place])
        for name, data in zip(names, reply, strict=False):
            read, expected = value_of(data), feast["values"][name][place]
            if name == "built" and expected is not None:
                expected = expected.removesuffix("+00:00")
            assert (read, type(read)) == (expected, type(expected)), (ids[place], name)
    for name in names:
        assert 0 < sum(value is None for value in feast["values"][name][:-1]) < ENTITIES / 2, "some are null"
