"""The house keeps its own rules: no package host in git, pinned requirements, ports that do not clash, true READMEs."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from pantheon import components, durations
from pantheon.engines.local.unit import HUNG_FACTOR
from pantheon.tiers import all_tiers, definitions
from tests.support import ROOT

TRACKED = [ROOT / name for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()]
TEXTS = {
    path: path.read_text(errors="replace") for path in TRACKED if path.is_file() and path.suffix not in (".png", ".ico")
}


def test_no_package_hosts_name_is_in_the_repository() -> None:
    hosts = re.compile(r"(?:pypi|files\.pythonhosted|registry\.npmjs|deb\.debian)\.(?:org|com)")
    assert {str(p): m.group() for p, text in TEXTS.items() if (m := hosts.search(text)) and p != Path(__file__)} == {}


def test_every_requirement_is_pinned_with_a_hash() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        blocks = re.split(r"\n(?=\S)", lock.read_text().strip())
        pinned = [b for b in blocks if not b.startswith("#")]
        assert pinned
        for block in pinned:
            assert re.match(r"[a-z0-9._-]+(\[[a-z0-9,_-]+\])?==\S+", block), block
            assert "--hash=sha256:" in block, block


def test_packages_of_npm_are_pinned_with_hashes_and_belong_to_the_lock_of_their_environment() -> None:
    folders = sorted((ROOT / "requirements").glob("*.npm"))
    assert folders
    for folder in folders:
        package, lock = (folder / name for name in ("package.json", "package-lock.json"))
        packages = {name: entry for name, entry in json.loads(lock.read_text())["packages"].items() if name}
        assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
        assert not any("resolved" in entry for entry in packages.values()), "an address of a registry"
        digest = hashlib.sha256(package.read_bytes() + lock.read_bytes()).hexdigest()
        last = folder.with_suffix(".txt").read_text().splitlines()[-1]
        assert last == f"# {folder.name}: {digest}", f"run bin/lock {folder.stem}"


def test_all_environments_agree_on_every_version() -> None:
    """The development lock is the constraint of the others (a lock may name another version for another Python)."""
    found = {
        lock.stem: set(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(), flags=re.M))
        for lock in (ROOT / "requirements").glob("*.txt")
    }
    shared = {package for package, _ in found["dev"]}
    # Airflow needs another protobuf, DVC's S3 another botocore, PyCaret another IPython, KServe another psutil,
    # Evidently and Feast another pandas, kfp another requests, shap (oracles) another numpy.
    # The first two and Evidently's import light modules of ours alone, a model of PyCaret's leaves it as ONNX; for
    # Feast's and kfp's see below.
    of_its_own = {"uv", "airflow", "dvc", "pycaret", "kserve", "evidently", "feast", "kubeflow", "oracles"}
    of_its_own |= {"airflow-kubernetes"}
    for name, versions in found.items():
        known = {(package, version) for package, version in versions if package in shared}
        assert name in of_its_own or known <= found["dev"], name
    assert found["airflow"] <= found["airflow-kubernetes"]
    assert found["workflow"] | found["serving"] | found["cli"] <= found["dev"], "the tests run on what is shipped"
    served = {package for package, _ in found["serving"]}
    same = {(package, version) for package, version in found["kserve"] if package in served}
    assert same <= found["serving"], "KServe answers as the endpoint does"
    worked = {package for package, _ in found["workflow"]}
    for name in ("feast", "kubeflow"):
        same = {(package, version) for package, version in found[name] if package in worked}
        assert same <= found["workflow"], "they and the workflow write and read the same files, and search alike"


def test_every_setting_of_the_readme_reaches_the_command_line() -> None:
    known = re.search(r"^SETTINGS := (.*)$", (ROOT / "Makefile").read_text(), flags=re.M)
    assert known
    table = (ROOT / "README.md").read_text().partition("| setting |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([A-Z_]+)=", table))
    assert len(named) > 10
    assert named <= set(known[1].split())


def test_every_requirement_says_why() -> None:
    for source in (ROOT / "requirements").glob("*.in"):
        assert source.read_text().startswith("# "), source.name


def test_published_ports_are_on_loopback_and_never_clash() -> None:
    """Of every component of every tier; ports that services use among themselves included."""
    default = re.compile(r"\$\{([A-Z0-9_]+_PORT):-(\d+)\}")
    ports: dict[str, str] = {}
    for path in {file for definition in definitions() for file in components.files(definition)}:
        text = path.read_text()
        for name, port in default.findall(text):
            assert ports.setdefault(port, name) == name, f"{name} and {ports[port]} both take {port}"
        for service in (components.load(text).get("services") or {}).values():
            for port in service.get("ports") or []:
                assert (port["host_ip"] if isinstance(port, dict) else port.rsplit(":", 2)[0]) == "127.0.0.1"


def test_services_recover_in_containers_when_they_end_or_hang() -> None:
    """Docker restarts what ends, also after a crash of its daemon, and compose/health.sh ends what hangs."""
    for path in {file for definition in definitions() for file in components.files(definition)}:
        for name, service in (components.load(path.read_text()).get("services") or {}).items():
            if "restart" in service:
                script, limit = service["healthcheck"]["test"][2:4]
                assert (service["restart"], script.endswith("/compose/health.sh")) == ("always", True), name
                check = service["healthcheck"]
                assert int(limit) == HUNG_FACTOR * check["retries"], "as on the local engine"
                interval, timeout = durations.seconds(check["interval"]), durations.seconds(check["timeout"])
                assert int(limit) * (interval + timeout) <= (45 if "deploy" in service else 90), name


def test_a_file_has_one_job() -> None:
    """About 300 lines; more than 400 is a file with two jobs."""
    long = {str(p.relative_to(ROOT)): text.count("\n") for p, text in TEXTS.items() if p.suffix == ".py"}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


def test_the_table_of_tiers_in_the_readme_is_true() -> None:
    readme = (ROOT / "README.md").read_text()
    for tier in all_tiers():
        (row,) = re.findall(rf"^\| {tier.number} \|.*$", readme, flags=re.M)
        assert tier.title in row
        assert tier.adds in row
        assert ("not built yet" in row) is not tier.built


@pytest.mark.parametrize("name", ["README.md", *[f"tiers/{t.folder.name}/README.md" for t in all_tiers() if t.built]])
def test_links_in_a_readme_point_to_files_that_exist(name: str) -> None:
    page = ROOT / name
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), f"{name}: {link}"
