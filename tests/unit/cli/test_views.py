"""Text from people and files is printed literally, even if it looks like markup."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pantheon import terminal
from pantheon.cli import feature_views, model_views, views
from pantheon.engines.findings import Finding
from tests.support import ROOT

NAME = "WBC [/ul] [red] [m^2] a:key:b"
WHEN = "2026-11-22T10:00:00+00:00"


@dataclass
class D1:
    def command(self, verb: str, **options: Any) -> str:
        return f"make tier-zeus {verb}"


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    for console in (terminal.out, terminal.err):
        monkeypatch.setattr(console, "_width", 1000)

    def read() -> str:
        captured = capsys.readouterr()
        return captured.out + captured.err

    return read


SERVICE = {"name": "button", "state": "failed", "why": NAME, "address": "", "memory_mb": 1, "uptime_seconds": 1.0}


def status() -> dict[str, Any]:
    rest = {
        "model": None,
        "waiting": [{"model": NAME, "version": "2", "since": WHEN, "by": NAME, "note": NAME}],
        "models": {"where": NAME, "trouble": NAME},
        "state": f"/tmp/{NAME}",
        "page": "",
        "warnings": [NAME],
        "refused": {"cause": NAME, "cure": "See `status`"},
        "logins": {},
    }
    return {"name": "d1", "tier": "zeus", "engine": "local", "dataset": NAME, "services": [SERVICE], **rest}


def feature_view() -> dict[str, Any]:
    check = {"field": NAME, "check": "max_missing", "ok": False, "value": 0.2, "expected": 0.1}
    top = {"kind": "top", "top": [{"value": NAME, "rows": 1}], "others": 0}
    field = {"name": NAME, "type": "text", "expression": NAME, "description": "", "missing": 0.0, "distribution": top}
    field["owner"] = NAME
    return {
        "name": NAME, "set": NAME, "kind": "raw", "entity": NAME, "entities": 1, "rows": 1, "columns": [NAME],
        "description": NAME, "owner": NAME, "time": NAME, "run": NAME, "parts_count": 1, "ttl_seconds": 0,
        "owners": [NAME],
        "newest": WHEN, "age_seconds": 1.0, "fresh": None, "failed": [check],
        "lineage": {"of": [NAME], "feeds": [NAME]}, "services": [{"name": NAME}],
        "models": [{"model": NAME, "version": "1", "aliases": [NAME]}],
        "fields": [{**field, "checks": [check], "minimum": None, "maximum": None, "max_missing": 0.1}],
        "parts": [{"at": WHEN, "rows": 1, "run": NAME, "name": NAME}],
    }  # fmt: skip


def version() -> dict[str, Any]:
    return {
        "model": NAME, "version": "1", "created": WHEN, "bytes": 5, "metric": {"name": NAME, "value": 0.5}, "run": NAME,
        "chosen": NAME, "data": {"name": NAME, "sha256": "0"}, "commit": None, "lineage": {"data": {"name": NAME}},
        "aliases": {NAME: {"since": WHEN, "by": NAME, "note": NAME}}, "version_control": None, "trouble": NAME,
        "files": {"x": {"size": 1, "sha256": "0", "address": NAME}},
    }  # fmt: skip


def run() -> dict[str, Any]:
    return {"id": "1", "dataset": NAME, "tier": "zeus", "state": "failed", "seconds": 1.0, "decision": "",
            "version": None, "reason": NAME}  # fmt: skip


def listed() -> dict[str, Any]:
    damaged = [{"version": "2", "aliases": [NAME], "why": NAME, "cure": NAME}]
    return {"model": NAME, "where": NAME, "versions": [version() | {"aliases": [NAME]}], "damaged": damaged}


VIEWS = {
    "status": lambda: views.show_status(status()),
    "promoted": lambda: views.show_outcome({"decision": "promoted", "model": NAME, "reason": NAME}, D1()),  # type: ignore[arg-type]
    "challenger": lambda: views.show_outcome({"decision": "challenger", "model": NAME, "reason": NAME}, D1()),  # type: ignore[arg-type]
    "refused": lambda: views.show_outcome({"decision": "refused", "model": NAME, "reason": NAME}, D1()),  # type: ignore[arg-type]
    "runs": lambda: views.show_runs([run()], D1()),  # type: ignore[arg-type]
    "answer": lambda: views.show_answer({"prediction": [NAME], "words": [NAME], "version": "1"}),
    "questions": lambda: views.show_questions(
        {"questions": [{"question": NAME, "state": "answered", "answer": NAME, "source": NAME}]}
    ),
    "smoke": lambda: views.show_smoke([{"check": NAME, "ok": True, "found": NAME}]),
    "versions": lambda: model_views.show_list(listed()),
    "version": lambda: model_views.show_version(version()),
    "verified": lambda: model_views.show_verified(
        {"model": NAME, "versions": [{"version": "1", "files": 1, "problems": [NAME]}]}
    ),
    "plan": lambda: model_views.show_plan({"remove": [], "keep": {}, "damaged": [], "model": NAME, "where": NAME}),
    "removed": lambda: model_views.show_removed({"removed": [], "refused": {"1": NAME}, "swept": [NAME]}),
    "feature list": lambda: feature_views.show_list([feature_view()]),
    "feature view": lambda: feature_views.show_view(feature_view()),
    "feature rows": lambda: feature_views.show_rows(
        [{"entity": NAME, "view": NAME, "state": "known", "time": WHEN, "features": {NAME: NAME}}]
    ),
    "findings": lambda: views.show_findings([Finding(NAME, False, NAME, NAME)]),
    "pickle": lambda: model_views.warn_of_pickle(Path(NAME), False),
    "step": lambda: terminal.Steps().end(NAME, note=NAME),
    "warning": lambda: terminal.warn(NAME),
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_name_that_looks_like_markup_is_printed_literally(view: str, shown: Any) -> None:
    VIEWS[view]()
    assert NAME in shown()


def test_the_lines_below_the_services_are_aligned_to_the_longest_label(shown: Any) -> None:
    login = {"title": "JupyterHub", "who": "", "file": "", "link": ""}
    views.show_status(status() | {"logins": {"button": login}, "services": [SERVICE | {"address": "http://x"}]})
    lines = {line.split()[0]: line for line in shown().splitlines() if line.strip()}
    starts = {
        len(lines[name]) - len(lines[name].removeprefix(name).lstrip()) for name in ("JupyterHub", "models", "state")
    }
    assert starts == {len("JupyterHub  ")}


# What may stand in markup without ``plain``: our own marks, counts, durations, times and sizes.
OURS = re.compile(r"(terminal\.)?plain\(|.*MARKS|ANSWERS\[|(mark|doubt)$|(len|(terminal\.)?seconds|when|bytes_)\(")


def prints_markup(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or any(each.arg == "markup" for each in node.keywords):
        return False
    called = ast.unparse(node.func)
    return called in ("terminal.say", "terminal.markup") or bool(re.search(r"\b(out|err)\.print$", called))


def test_every_value_in_printed_markup_is_escaped() -> None:
    printed, bare = 0, []
    for path in sorted((ROOT / "pantheon").rglob("*.py")):
        for call in filter(prints_markup, ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
            assert isinstance(call, ast.Call)
            for text in (each for each in call.args if isinstance(each, ast.JoinedStr)):
                for part in (each for each in text.values if isinstance(each, ast.FormattedValue)):
                    printed += 1
                    counted = part.format_spec is not None and "," in ast.unparse(part.format_spec)
                    if not counted and not OURS.match(ast.unparse(part.value)):
                        bare.append(f"{path.relative_to(ROOT)}:{call.lineno} {ast.unparse(part.value)}")
    assert printed > 50
    assert bare == []


def test_a_run_is_shown_with_its_stages_in_order(shown: Any) -> None:
    first = {"stage": "load_data", "state": "done", "started": WHEN, "seconds": 1.5, "summary": {"rows": NAME}}
    later = {"stage": "train", "state": "failed", "started": "2026-11-22T10:00:05+00:00", "error": NAME}
    outcome = {"decision": "refused", "reason": NAME}
    views.show_run({"run": NAME, "stages": {"train": later, "load_data": first}, "outcome": outcome})
    text = shown()
    assert text.index("load_data") < text.index("train")
    assert text.count(NAME) == 4
