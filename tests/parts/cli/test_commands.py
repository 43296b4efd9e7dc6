"""Commands in messages and pages work, and are completed for the right deployment."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from pantheon.cli.main import app
from pantheon.deployment.commands import GOALS, GROUPS, SETTINGS, command, complete
from tests.support import ROOT
from tests.support.said import OURS, check, is_ours

SOURCES = [path for top in ("pantheon", "serving", "dags") for path in sorted((ROOT / top).rglob("*.py"))]
PAGES = [ROOT / "README.md", *sorted((ROOT / "tiers").glob("*/README.md")), *sorted((ROOT / "docs").glob("*.md"))]


def messages(path: Path) -> Iterator[str]:
    """Every text in a Python file that is not a docstring."""
    tree = ast.parse(path.read_text())
    bodies = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    firsts = [node.body[0] for node in ast.walk(tree) if isinstance(node, bodies) and node.body]
    yield from texts(tree, {id(first.value) for first in firsts if isinstance(first, ast.Expr)})


def texts(tree: ast.AST, seen: set[int]) -> Iterator[str]:
    """Every text below ``tree`` but those ``seen``; what an f-string fills in is ``2``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            seen |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "2" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in seen:
            yield node.value


def named_in_messages() -> list[str]:
    found = {quoted for path in SOURCES for text in messages(path) for quoted in re.findall(r"`([^`\n]+)`", text)}
    return sorted(line for line in found if is_ours(line))


def named_in_pages() -> list[str]:
    found: set[str] = set()
    for page in PAGES:
        text = page.read_text()
        found |= set(re.findall(r"`([^`\n]+)`", text))
        for block in re.findall(r"^```sh[a-z ]*\n(.*?)^```", text, flags=re.M | re.S):
            found |= {line.partition(" #")[0].strip() for line in block.splitlines()}
    return sorted(line for line in found if OURS.match(line))


@pytest.mark.parametrize("line", named_in_messages())
def test_a_command_in_a_message_works(line: str) -> None:
    check(line)


@pytest.mark.parametrize("line", named_in_pages())
def test_a_command_on_a_page_works(line: str) -> None:
    if line != "bin/pantheon models":  # the name of the group
        check(line.replace("models publish", "models publish --help"))


def test_a_command_in_an_error_is_in_backquotes() -> None:
    """Else it is not completed, and not tested here."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "PantheonError":
                said = [text for each in node.args for text in texts(each, set())]
                outside = r"bin/pantheon|make (?:tier-|images)"
                bare = [text for text in said if re.search(outside, re.sub(r"`[^`]*`", "", text))]
                assert bare == [], path


def test_commands_render_exactly_the_goals_and_settings_of_make() -> None:
    text = (ROOT / "Makefile").read_text()
    settings = re.search(r"^SETTINGS := (.*)$", text, flags=re.M)
    goals = re.search(r"^VERBS := (.*)$", text, flags=re.M)
    assert settings and goals
    assert {name.lower() for name in settings[1].split()} == SETTINGS
    assert {*goals[1].split(), "models", "rollback", "backup", "restore", "test"} == GOALS
    group = typer.main.get_command(app)
    for name, verbs in GROUPS.items():
        assert set(group.commands[name].commands) == verbs  # type: ignore[attr-defined]


def test_a_command_names_the_deployment() -> None:
    assert command("pantheon", "zeus", "up") == "make tier-zeus up"
    assert command("d1", "zeus", "destroy", confirm="yes") == "make tier-zeus destroy CONFIRM=yes NAME=d1"
    assert command("d1", "zeus", "hold", note="it's worse") == """make tier-zeus hold 'NOTE=it'"'"'s worse' NAME=d1"""
    assert command("d1", "zeus", "run", resume="latest") == "bin/pantheon run --resume latest --name d1"
    assert command("d1", "zeus", "dvc", "exp", "show") == "bin/pantheon dvc --name d1 exp show"


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("`up` starts it.", "`make tier-zeus up NAME=d1` starts it."),
        ("`logs --service jupyter`", "`make tier-zeus logs SERVICE=jupyter NAME=d1`"),
        ("`bin/pantheon status`", "`make tier-zeus status NAME=d1`"),
        ("`bin/pantheon models gc`", "`bin/pantheon models gc --name d1`"),
        ("`route weights challenger=10`", "`bin/pantheon route weights challenger=10 --name d1`"),
        ("`make tier-odysseus up`", "`make tier-odysseus up NAME=d1`"),
        ("`make tier-odysseus up NAME=d2`", "`make tier-odysseus up NAME=d2`"),
        ("`bin/pantheon dvc repro -f`", "`bin/pantheon dvc --name d1 repro -f`"),
        ("see `ps` and `mem_limit`, or it's `", "see `ps` and `mem_limit`, or it's `"),
    ],
)
def test_a_message_of_a_lower_layer_is_completed(text: str, completed: str) -> None:
    assert complete(text, "d1", "zeus") == completed
