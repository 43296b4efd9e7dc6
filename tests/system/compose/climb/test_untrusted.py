"""Code in every container can write only folders whose content the host does not obey."""

import json
import os

import pytest

from tests.support.compose import Composed, docker_command
from tests.support.compose_climb import EVERY, LAST

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]
OUTPUT = {"runs", "models", "data", "extensions", "notebooks", "shared", "repositories", "volumes", "predictions"}
OUTPUT |= {"kubeflow", "features", "feast"}  # definitions of features run in Feast's container

# In each container: the folders that it can really write to, and what it cannot reach. Standard library only.
WRITABLE = r"""
import json, os, sys
found = {}
for line in open("/proc/self/mountinfo"):
    left, _, right = line.partition(" - ")
    root, place, options = left.split()[3:6]
    kind = right.split()[0]
    if kind in ("proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "tmpfs", "devtmpfs"):
        continue
    probe = os.path.join(place, ".probe") if os.path.isdir(place) else None
    if probe:
        try:
            os.close(os.open(probe, os.O_CREAT | os.O_EXCL, 0o600))
        except OSError:
            continue
        os.unlink(probe)
        found[place] = root
    elif os.access(place, os.W_OK):
        found[place] = root
print(json.dumps(found))
"""


def test_containers_write_only_output_that_the_host_does_not_obey(last: Composed) -> None:
    for service in sorted(EVERY - {"postgres", "s3", "valkey"}):
        answer = docker_command("exec", f"{last.name}-{service}-1", "python", "-c", WRITABLE)
        for place, root in json.loads(answer).items():
            assert any(f"/{last.name}/{name}" in root for name in OUTPUT), f"{service} can write {place} ({root})"


def test_a_task_has_no_more_rights_than_a_service(last: Composed) -> None:
    from pantheon.deployment.deployment import Deployment
    from pantheon.tiers import find

    with pytest.MonkeyPatch.context() as patch:
        for name, value in last.environment.items():
            patch.setenv(name, value)
        engine = Deployment(last.name).engine(find(LAST))
        lines: list[str] = []
        engine.run_task("workflow", ["python", "-c", WRITABLE], on_output=lines.append)
    for place, root in json.loads(lines[-1]).items():
        assert any(f"/{last.name}/{name}" in root for name in OUTPUT), f"a task can write {place} ({root})"


# In JupyterLab's container: settings of the local engine into every folder that it can write to, and an extension.
ATTACK = r"""
import json, pathlib, sys
settings = {"name": sys.argv[1], "tier": "persephone", "engine": "local", "route": {"etl": "dataflow"}, "version": 2}
refused = []
for folder in sorted(pathlib.Path("/pantheon").iterdir()):
    for name in ("settings.json", "settings.json.bak", "deployment.json"):
        try:
            (folder / name).write_text(json.dumps(settings))
        except OSError:
            refused.append(f"{folder.name}/{name}")
pathlib.Path("/pantheon/extensions/planted.py").write_text(sys.argv[2])
print(json.dumps(refused))
"""
# The extension says where it runs, in the folder as it is called in containers, or on the host.
PLANTED = """
import os
for folder in ("/pantheon/shared", {!r}):
    if os.path.isdir(folder):
        with open(f"{{folder}}/planted-{{os.getuid()}}-{{os.uname().nodename}}", "w") as file:
            file.write(folder)
"""


def test_code_planted_by_a_notebook_runs_in_a_container_whatever_it_writes(last: Composed) -> None:
    jupyter, shared = f"{last.name}-jupyter-1", last.state / "shared"
    planted = PLANTED.format(str(shared))
    refused = json.loads(docker_command("exec", jupyter, "python", "-c", ATTACK, last.name, planted))
    assert {"state/settings.json", "state/deployment.json"} <= set(refused)
    assert "extensions/settings.json" not in refused
    try:
        run = last("runs", "--json").json[0]["id"]
        last("stage", "feature_engineering", "--run", run)
        (said,) = shared.glob("planted-*")
        assert said.read_text() == "/pantheon/shared"
        _, uid, node = said.name.split("-", 2)
        assert int(uid) == (last.state / "models").stat().st_uid != 0
        assert node != os.uname().nodename
        found = last("status", "--json").json
        assert (found["engine"], found["tier"]) == ("compose", LAST)
    finally:
        (last.state / "extensions" / "planted.py").unlink()
        for path in (path for path in last.state.glob("*/*.json*") if path.parent.name != "state"):
            if path.name in ("settings.json", "settings.json.bak", "deployment.json"):
                path.unlink()


def test_dvc_and_feast_in_a_container_say_nothing_about_compose(last: Composed) -> None:
    assert "level=warning" not in last("dvc", "--version").err
    listed = last("feast", "feature-views", "list", timeout=400)
    assert "robots" not in listed.out and "wine" in listed.out, "the views of this deployment's runs"
    assert "level=warning" not in listed.err
