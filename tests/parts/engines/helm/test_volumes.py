"""Backups on Kubernetes: which volumes a task sees, in which pod it runs, and what a new deployment must not touch.

The objects are those of the chart, as Helm renders them; `kubectl exec` runs commands on this machine.
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pantheon.engines import Options
from pantheon.engines.helm import task
from pantheon.engines.helm import volumes as module
from pantheon.engines.helm.engine import HelmEngine
from pantheon.errors import PantheonError
from tests.parts.engines.helm.test_task import POD
from tests.support import ROOT
from tests.support.helm import TIERS, render
from tests.support.kubectl import FakeKubectl, kubectl

__all__ = ["kubectl"]
JOBS = "get_cronjobs,deployments,jobs"


class There:
    """A deployment of nemesis, whose servers run or not."""

    def __init__(self, kubectl: FakeKubectl, home: Path, running: bool = True) -> None:
        self.kubectl, self.state = kubectl, home / "demo"
        self.state.mkdir()
        environment = dict(kubectl.kube().environment) | {"PANTHEON_KUBECONTEXT": "here"}
        options = Options("demo", self.state, TIERS[4].compose_file, ROOT, environment=environment)
        self.engine = HelmEngine(options, {}, lambda *_: {})
        objects = render(5, stopped=not running)
        for each in objects:
            each["metadata"] |= {"creationTimestamp": "2026-11-30T10:00:00Z", "uid": "1"}
        self.of_kind = lambda kind: [each for each in objects if each["kind"] == kind]
        servers = [{**each, "status": {"replicas": int(running)}} for each in self.of_kind("StatefulSet")]
        kubectl.answers(
            get_statefulsets=json.dumps({"items": servers}),
            get_pvc=json.dumps({"items": self.of_kind("PersistentVolumeClaim")}),
            get_pods=json.dumps({"items": [POD]}),
        )
        self.defined("files", "CronJob")

    def defined(self, name: str, kind: str) -> dict[str, Any]:
        """What the cluster says about the definition of a service."""
        label = "app.kubernetes.io/component"
        (found,) = [each for each in self.of_kind(kind) if each["metadata"]["labels"][label] == name]
        self.kubectl.answers(**{JOBS: json.dumps({"items": [found]})})
        return found


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize("running", [True, False])
def test_the_pod_has_the_whole_volume_and_those_of_servers_that_do_not_run(
    kubectl: FakeKubectl, tmp_path: Path, running: bool
) -> None:
    volumes = There(kubectl, tmp_path, running).engine.volumes()
    pod = pod_of(task.job_of(volumes.owner(), "volumes"))
    mounts = {each["mountPath"]: each for each in pod["containers"][0]["volumeMounts"]}
    servers = set() if running else {"/volumes/metadata", "/volumes/objects"}
    assert {path for path in mounts if path != "/tmp"} == {"/pantheon"} | servers
    assert "subPath" not in mounts["/pantheon"]
    claims = [each["persistentVolumeClaim"]["claimName"] for each in pod["volumes"] if "persistentVolumeClaim" in each]
    assert sorted(claims) == ["pantheon-data", *([] if running else ["pantheon-metadata", "pantheon-objects"])]
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    assert not [each for each in pod["volumes"] if "secret" in each or "projected" in each]
    where = {name: str(volumes.place(name)[0]) for name in ("runs", "volumes/metadata", "volumes/metadata/18/base")}
    metadata = "/pantheon" if running else "/volumes/metadata"
    assert where == {"runs": "/pantheon", "volumes/metadata": metadata, "volumes/metadata/18/base": metadata}
    assert volumes.place("volumes/metadata/18/base")[1] == ("volumes/metadata/" if running else "") + "18/base"


def test_only_folders_with_files_are_found(
    kubectl: FakeKubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DATA", PurePosixPath(tmp_path))
    for name in ("runs/it's 1", "notebooks/empty"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "runs" / "it's 1" / "run.json").touch()
    volumes = There(kubectl, tmp_path).engine.volumes()
    assert volumes.with_files(["notebooks", "runs", "models"]) == {"runs"}


def test_programs_of_a_server_run_in_its_pod_with_its_secret_not_in_the_arguments(
    kubectl: FakeKubectl, tmp_path: Path
) -> None:
    there = There(kubectl, tmp_path)
    (tmp_path / "password").write_text("mellon")
    psql, lines = tmp_path / "kubectl" / "psql", list[str]()
    psql.write_text(f'#!/bin/sh\nenv | grep ^PG\n[ "$PGPASSWORD" = mellon ] || exit 3\ncat >{tmp_path}/read\n')
    psql.chmod(0o755)
    volumes = there.engine.volumes()
    tasks = volumes.tasks()
    tasks.services["databases"]["environment"]["POSTGRES_PASSWORD_FILE"] = str(tmp_path / "password")
    volumes.tasks = lambda: tasks
    load = ["sh", "compose/databases.sh", "load"]
    assert volumes.run_task("databases", load, input=b"SELECT 1;", on_output=lines.append) == 0
    assert "PGHOST=127.0.0.1" in lines, "a pod need not reach itself by its Service"
    assert "PGDATABASE=postgres" in lines
    assert (tmp_path / "read").read_bytes() == b"SELECT 1;"
    assert any("exec -i statefulset/postgres -c postgres -- env " in call for call in kubectl.calls)
    assert "mellon" not in str(kubectl.calls)
    (tmp_path / "password").write_text("barley")
    assert volumes.run_task("databases", load, input=bytes(1 << 20)) == 3, "also with input that nobody reads"


def test_a_one_off_of_the_chart_runs_other_tasks_in_pods_of_its_own(kubectl: FakeKubectl, tmp_path: Path) -> None:
    job = There(kubectl, tmp_path).defined("s3-buckets", "Job")
    job["spec"]["template"]["metadata"]["labels"] |= {  # as the cluster adds them
        "batch.kubernetes.io/controller-uid": "7", "controller-uid": "7", "job-name": "s3-buckets-1"
    }  # fmt: skip
    made = task.job_of(job, "s3-buckets")
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert not [key for key in labels if "job-name" in key or "controller" in key]
    assert (labels["app.kubernetes.io/component"], labels["pantheon/inside"]) == ("s3-buckets-task", "yes")
    assert {"name": "AWS_ENDPOINT_URL", "value": "http://s3:9000"} in pod_of(made)["containers"][0]["env"]


def test_volumes_of_another_deployment_are_not_touched(kubectl: FakeKubectl, tmp_path: Path) -> None:
    there = There(kubectl, tmp_path)
    versions = {"clientVersion": {"gitVersion": "v1.34.0"}, "serverVersion": {"gitVersion": "v1.34.0"}}
    config = {"clusters": [{"cluster": {"server": "https://here"}}]}
    kubectl.answers(version=json.dumps(versions), config=json.dumps(config))
    kubectl.answers(**{"get_pvc,secrets,cronjobs": json.dumps({"items": there.of_kind("PersistentVolumeClaim")})})
    (tmp_path / "kubectl" / "helm").write_text("#!/bin/sh\necho v4.3.0\n")
    (tmp_path / "kubectl" / "helm").chmod(0o755)
    with pytest.raises(PantheonError, match="The namespace demo has a deployment, or volumes of an earlier one"):
        there.engine.volumes().create(["workflow"])
    assert not there.engine.cluster.known, "so that nobody removes it"
    assert not any(verb in call for call in kubectl.calls for verb in (" create ", " delete ", " patch "))
