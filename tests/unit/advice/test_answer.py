"""What advice says: needs by name, reasons, costs, signs, alternatives; and as a command."""

import json
import re
from pathlib import Path

import pytest
import typer

from pantheon import components
from pantheon.advice import cost, data
from pantheon.advice.answer import advise
from pantheon.cli import advise as command
from pantheon.errors import PantheonError
from pantheon.tiers import all_tiers
from tests.support import ROOT

BUILT = [tier for tier in all_tiers() if tier.built]
REPORT = {
    "version": 1,
    "machine": {"cpu": "Abacus 1", "cores": 2, "memory_mb": 8000, "os": "Debian"},
    "tiers": {"zeus": {"local": {"memory_idle_mb": 912.4, "start_s": 9.5, "services": 6, "more": 1}}},
}


def test_needs_are_separated_by_spaces_or_commas_and_ordered_by_topic() -> None:
    assert data.chosen("features, Schedule  lineage,schedule") == ["schedule", "lineage", "features"]
    assert data.chosen("none") == []


def test_an_unknown_need_names_similar_ones_and_all() -> None:
    with pytest.raises(PantheonError) as caught:
        data.chosen("schedule shedule")
    assert "there is no need 'shedule'. Did you mean schedule" in str(caught.value)
    assert all(name in caught.value.cure for name in data.needs())


def test_every_part_has_a_reason() -> None:
    found = advise(["schedule", "lineage"])
    why = {each["name"]: each["why"] for each in found["parts"]}
    assert (why["airflow"], why["postgres"], why["s3"], why["dvc"]) == (
        "for schedule", "Airflow needs it", "DVC needs it", "for lineage",
    )  # fmt: skip
    assert why["button"] == "in every deployment of this tier"
    assert found["command"] == "make tier-odysseus up WITHOUT=jupyter"
    assert found["because"] == "odysseus is the first tier that meets lineage: it adds DVC."


def test_a_variant_is_part_of_the_command() -> None:
    assert advise(["automl"])["command"] == "make tier-odysseus up WITHOUT=airflow,s3 VARIANT=pycaret"


def test_signs_are_those_of_needs_that_one_more_component_meets() -> None:
    left = {each["name"]: each["signs"].keys() for each in advise(["monitoring"])["left_out"]}
    assert left["airflow"] == {"schedule", "retraining"}
    assert left["jupyter"] == {"notebooks"}
    back = {each["name"]: each["back"] for each in advise(["monitoring"])["left_out"]}
    assert back["dvc"] == ["S3", "DVC"], "DVC needs S3"


def test_the_next_step_has_its_sign_and_the_last_tier_has_none() -> None:
    step = advise(["features"])["next"]
    assert (step["tier"], step["adds"]) == ("kraken", "Kubeflow")
    assert "kraken adds Kubeflow" in step["sign"]
    assert step["not"].startswith("If one team trains on one machine")
    assert advise(["users"])["next"]["tier"] == ""


@pytest.mark.parametrize("tier", BUILT, ids=lambda tier: tier.name)
def test_every_readme_says_what_the_tier_costs_and_when_the_next_one_is_worth_it(tier) -> None:  # type: ignore[no-untyped-def]
    for begins in (cost.COST, cost.NEXT):
        text = cost.paragraph(tier, begins)
        assert text, begins
        assert not re.search(r"[`*\[\]]|docs/", text), text


def test_measured_figures_come_from_the_report_of_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "REPORT", tmp_path / "compare.json")
    assert advise(["notebooks"])["cost"]["measured"] is None
    cost.REPORT.write_text(json.dumps(REPORT))
    measured = advise(["notebooks"])["cost"]["measured"]
    assert measured["machine"] == "Abacus 1, 2 cores, 8 GB"
    assert command.figures_of(measured["engines"]["local"]) == (
        "912 MB of memory when idle, 9.5 s from nothing until healthy, 6 services"
    )
    assert advise(["share"])["cost"]["measured"] is None, "the report has no figures of nemesis"
    cost.REPORT.write_text("{}")
    assert advise(["notebooks"])["cost"]["measured"] is None


def test_memory_is_that_of_the_components_that_are_left() -> None:
    less, more = (advise(names)["cost"]["memory_mb"] for names in (["features"], ["features", "schedule"]))
    assert more - less == 900, "of Airflow; Feast needs PostgreSQL, too"


def test_every_optional_component_has_alternatives_with_dated_facts() -> None:
    known = {
        each.name for tier in BUILT for name in ("", *tier.variants) for each in components.read(tier.definition(name))
    }
    optional = {name for tier in BUILT for name in components.read(tier.compose_file).optional}
    assert optional <= data.instead_of(optional).keys()
    months = "January|February|March|April|May|June|July|August|September|October|November|December"
    for name, each in data.alternatives().items():
        assert set(each.instead_of) <= known, name
        assert re.fullmatch(rf"|({months}) 20\d\d", each.as_of), name
        assert each.source.startswith("https://"), name
        for text in (each.why, each.why_not, each.fact):
            assert text.endswith("."), name


def test_an_answer_of_the_dialogue_is_numbers_or_names() -> None:
    topic = data.topics()[0]
    assert command.picked(topic, "2") == ["schedule"]
    assert command.picked(topic, " schedule, 1") == ["parallel", "schedule"]
    assert command.picked(topic, "") == []
    assert command.picked(topic, "3") is None
    assert command.picked(topic, "yes") is None


def test_the_dialogue_asks_again_after_an_answer_that_is_not_valid(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(["9", "2", *[""] * (len(data.topics()) - 1)])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: next(answers))
    command.advise()
    said = capsys.readouterr()
    assert "Type numbers from 1 to 2" in said.err
    assert "make tier-prometheus up" in said.out
    assert "make advise NEEDS='schedule'" in said.err


def test_without_a_terminal_the_command_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(PantheonError, match=r"no terminal.*make advise NEEDS='schedule notebooks'"):
        command.advise()


def test_json_is_the_advice(capsys: pytest.CaptureFixture[str]) -> None:
    command.advise(needs="lineage", as_json=True)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(advise(["lineage"])))


def test_alternatives_of_a_component(capsys: pytest.CaptureFixture[str]) -> None:
    command.advise(instead_of="airflow")
    said = capsys.readouterr().out
    assert "Dagster" in said
    assert "As of" in said
    with pytest.raises(PantheonError, match="Did you mean airflow"):
        command.advise(instead_of="airflw")


def test_the_page_is_one_file_that_loads_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.advise(page=str(tmp_path))
    text = (tmp_path / "advise.html").read_text()
    assert not re.search(r"<(?:link|img|iframe)\b|\bsrc=|\bimport\b *\(|@import|url\(", text)
    assert '"DATA"' not in text
    with pytest.raises(PantheonError, match="does not exist"):
        command.advise(page=str(tmp_path / "missing" / "page.html"))


def test_the_table_of_needs_in_the_documentation_is_true() -> None:
    text = (ROOT / "docs" / "advise.md").read_text()
    for name, need in data.needs().items():
        tier = advise([name])["tier"] + (f", variant {need.variant}" if need.variant else "")
        assert f"| `{name}` | {need.title} | {tier} |" in text
