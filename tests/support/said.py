"""Check that commands which texts name work, without running them."""

import contextlib
import re
import shlex
import subprocess

import typer

from pantheon.cli.main import app
from pantheon.deployment.commands import BARE, GROUPS, SETTINGS
from tests.support import ROOT

OURS = re.compile(r"(?:bin/pantheon|make) [a-z]")


def is_ours(line: str) -> bool:
    words = line.split()
    return bool(OURS.match(line)) or words[0] in BARE or (words[0] in GROUPS and words[1:2] != [])


def parse(words: list[str]) -> None:
    """Have the command line read the words, without doing anything; raises where it would refuse them."""
    group = typer.main.get_command(app)
    context = group.make_context("pantheon", [*words], resilient_parsing=False)
    name, found, rest = group.resolve_command(context, words)  # type: ignore[attr-defined]
    with contextlib.suppress(typer.Exit):  # --help
        if hasattr(found, "commands"):  # a group
            inner = found.make_context(name, [*rest], parent=context)
            name, found, rest = found.resolve_command(inner, rest)
        found.make_context(name, [*rest], parent=context)


def check(line: str) -> None:
    """See that the command exists, with its words and options or settings."""
    words = shlex.split(
        re.sub(r"\bNAME\b(?!=)", "persephone", line.replace("…", "")) if line.startswith("make") else line
    )
    if words[0] != "make":
        words = words[1:] if words[0] == "bin/pantheon" else words
        parse([word.replace("VERSION", "1").replace("COLUMN", "x") for word in words])
        return
    done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in words[1:]:
        key, equals, _ = word.partition("=")
        assert not equals or key.lower() in SETTINGS, key
