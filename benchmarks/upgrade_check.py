"""``make upgrade-check``: does a deployment of the oldest release come up on this version, with all that it has?

    make upgrade-check                               the oldest release, at its highest tier
    make tier-odysseus upgrade-check FROM=v0.1.0     any tag or commit, at this tier

The older version is cloned into a temporary folder and makes a deployment there, with a run, and with a notebook and an
extension as a person would write them. This version brings it up while its services run, must give the same answers,
models, runs, history, secrets, settings and files, and trains again. Nothing of it stays.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pantheon.engines.ports import free_offset
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT

PORTS = (8080, 8081, 8888, 8070, 5433, 9000, 9010, 8000, 8072, 8085, 8086, 6566, 8001, 8003, 6006, 8889)
NAME, FIRST_OFFSET = "upgrade", 12000  # below the ports that the system gives to clients
KEPT = ("models", "runs", "data", "notebooks", "extensions", "secrets")  # folders whose files must stay
OWN = {  # what people write, and no release may touch
    "notebooks/mine.ipynb": '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}\n',
    "extensions/mine.py": "# features and estimators of our own\n",
}
ROWS = [
    {"robot-age": age, "rust-level": rust, "battery": battery}
    for age, rust, battery in product((1, 5, 20), ("1", "5", "9"), ("high", "low", "medium"))
]


@dataclass
class Version:
    """A clone of Pantheon that works on the deployment.

    Attributes:
        called: ``old`` or ``new``.
        root: the clone.
        home: the folder of deployments.
        offset: the deployment's ``PORT_OFFSET``.
    """

    called: str
    root: Path
    home: Path
    offset: int
    console: Console

    def __call__(self, *words: str, json_of: bool = False) -> Any:
        """Run a command of ``bin/pantheon``; return its JSON if asked for.

        Raises:
            PantheonError: it failed; carries its last lines.
        """
        given = {key: value for key, value in os.environ.items() if not key.startswith("PANTHEON_")}
        given |= {key: os.environ[key] for key in ("PANTHEON_CA", "PANTHEON_PYTHON") if key in os.environ}
        given |= {"PANTHEON_HOME": str(self.home), "PANTHEON_NAME": NAME, "PANTHEON_TRIALS": "2"}
        given |= {"PANTHEON_ENGINE": "local", "PANTHEON_PORT_OFFSET": str(self.offset), "PYTHONPATH": ""}
        command = ["bin/pantheon", *words, *(["--json"] if json_of else [])]
        begin = time.monotonic()
        with self.console.status(f"{self.called}: {' '.join(words[:2])}"):
            done = subprocess.run(command, cwd=self.root, env=given, capture_output=True, text=True, check=False)
        self.console.print(f"  {self.called}: {' '.join(words[:2])[:60]:62}{time.monotonic() - begin:6.1f} s")
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
            raise PantheonError(f"`{' '.join(command[:3])}` of the {self.called} version failed:\n{last}", status=1)
        return json.loads(done.stdout) if json_of else done.stdout


def oldest(root: Path) -> str:
    """Return the oldest release: the first tag, else the commit of the last one that CHANGELOG.md names.

    Raises:
        PantheonError: there is no release yet.
    """
    tags = subprocess.check_output(["git", "tag", "--list", "v*", "--sort=creatordate"], cwd=root, text=True).split()
    if tags:
        return str(tags[0])
    headings = re.findall(r"^## \d+\.\d+.*$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    for heading in reversed(headings):
        if found := re.search(r"\b[0-9a-f]{7,40}\b", heading):
            return found[0]
    raise PantheonError(
        "There is no release to upgrade from: git has no tag, and CHANGELOG.md names no commit of a release.",
        "Name a revision: `make upgrade-check FROM=HEAD~10`",
    )


def clone(revision: str, folder: Path) -> Path:
    """Clone a revision of this repository.

    Raises:
        PantheonError: it does not exist.
    """
    made = folder / "old"
    subprocess.run(["git", "clone", "-q", "--shared", "--no-checkout", ROOT, made], check=True)
    commit = f"{revision}^{{commit}}"
    found = subprocess.run(
        ["git", "rev-parse", "-q", "--verify", commit], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if found.returncode:
        raise PantheonError(
            f"FROM={revision} is not a revision of this repository.", "`git tag` and `git log` list them."
        )
    subprocess.run(["git", "checkout", "-q", "--detach", found.stdout.strip()], cwd=made, check=True)
    return made


def release_of(root: Path) -> str:
    found = re.search(r'^__version__ = "(.+)"', (root / "pantheon" / "__init__.py").read_text(), flags=re.M)
    commit = subprocess.check_output(["git", "describe", "--always", "--tags"], cwd=root, text=True).strip()
    return f"{found[1] if found else 'unknown'} ({commit})"


def look(version: Version) -> dict[str, dict[str, Any]]:
    """Return what the deployment has: for each kind, facts by name."""
    state = version.home / NAME
    listed = version("models", "list", json_of=True)
    versions = listed["versions"] if isinstance(listed, dict) else listed
    runs = version("runs", json_of=True)
    answers = version("predict", "--row", json.dumps(ROWS), json_of=True)
    return {
        "answers": {
            f"to {row}": [answers[key][number] for key in ("prediction", "probabilities") if answers.get(key)]
            for number, row in enumerate(ROWS)
        },
        "models": {
            str(one["version"]): {key: one.get(key) for key in ("created", "run", "chosen", "metric", "aliases")}
            for one in versions
        },
        "runs": {
            one["id"]: {key: one.get(key) for key in ("dataset", "tier", "state", "decision", "version")}
            for one in runs
        },
        "history": history(state),
        "files": dict(checksums(state)),
        "settings": settings(state),
    }


def settings(state: Path) -> dict[str, Any]:
    file = state / "settings.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    return {key: value for key, value in found.items() if key not in ("version", "pantheon", "route")}


def history(state: Path) -> dict[str, str]:
    """Return the tags of runs in the deployment's repository, with their commits."""
    repository = state / "repositories" / "main.git"
    if not (repository / "HEAD").exists():
        return {}
    asked = ["git", f"--git-dir={repository}", "for-each-ref", "--format=%(refname) %(objectname)", "refs/tags"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    return dict(line.split(" ") for line in done.stdout.splitlines())


def checksums(state: Path) -> Mapping[str, str]:
    """Return the checksum of every file that must stay as it is. An older release's own notebooks may be replaced."""
    found = {}
    for folder in KEPT:
        for path in (state / folder).rglob("*"):
            name = path.relative_to(state)
            ours = folder in ("notebooks", "extensions") and str(name) not in OWN
            if path.is_file() and not ours and not any(part.startswith(".") for part in name.parts):
                found[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def lost(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """Return, for each kind, what is missing or has changed; something new is not a loss."""
    return {
        kind: [name for name, value in facts.items() if after[kind].get(name) != value]
        for kind, facts in before.items()
    }


def check(revision: str, tier: str, console: Console) -> int:
    """Make the deployment, upgrade it, print a table; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="pantheon-upgrade-") as made:
        folder = Path(made)
        old = Version("old", clone(revision, folder), folder / "home", free_offset(PORTS, FIRST_OFFSET), console)
        new = Version("new", ROOT, old.home, old.offset, console)
        tier = tier or highest(old.root)
        console.print(f"from {release_of(old.root)} to {release_of(ROOT)}, tier {tier}, in {folder}")
        try:
            return upgrade(old, new, tier, console)
        finally:
            for version in (new, old):  # the older one if this version does not read its folder
                if (old.home / NAME).exists():
                    with suppress(PantheonError):
                        version("destroy", "--confirm", "yes")


def highest(root: Path) -> str:
    """Return the name of a clone's highest tier that both versions have."""
    folders = [path.name for path in (root / "tiers").iterdir() if (ROOT / "tiers" / path.name / "tier.toml").exists()]
    return max(folders, key=lambda name: int(name.partition("-")[0])).partition("-")[2]


def upgrade(old: Version, new: Version, tier: str, console: Console) -> int:
    state = old.home / NAME
    old("up", tier)
    for name, text in OWN.items():
        (state / name).parent.mkdir(exist_ok=True)
        (state / name).write_text(text)
    before = look(old)
    new("up", tier)
    after = look(new)
    missing = lost(before, after)
    new("models", "verify")
    new("run", tier)
    grown = look(new)
    missing["runs, after one more"] = [] if len(grown["runs"]) == len(before["runs"]) + 1 else ["the new run"]

    table = Table("what", "before", "after", "", title=f"{tier}, upgraded to {release_of(new.root)}")
    for kind in before:
        table.add_row(kind, str(len(before[kind])), str(len(after[kind])), "✓" if not missing[kind] else "✗")
    table.add_row(
        "runs, after one more",
        str(len(before["runs"])),
        str(len(grown["runs"])),
        "✓" if not missing["runs, after one more"] else "✗",
    )
    console.print(table)
    for kind, names in missing.items():
        if names:
            console.print(
                f"✗ {kind}: lost or changed: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}", markup=False
            )
    return 1 if any(missing.values()) else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="make upgrade-check", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--from", dest="revision", default="", help="a tag or commit; default: the oldest release")
    parser.add_argument("--tier", default="", help="default: the highest tier of the older version")
    given = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        return check(given.revision or oldest(ROOT), given.tier, console)
    except PantheonError as error:
        sys.stderr.write(f"pantheon: {error}\n")
        return error.status


if __name__ == "__main__":
    sys.exit(main())
