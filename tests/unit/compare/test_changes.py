"""What changed between two reports: more than noise, and nothing else."""

from pantheon.compare import changes, markdown, page
from tests.support.comparisons import cell, report


def between(before: dict, after: dict) -> list[tuple[str, str, str]]:
    found = changes.between(report({"zeus": {"local": before}}), report({"zeus": {"local": after}}))
    return [(each.what, each.before, each.after) for each in found]


def test_the_same_report_and_noise_are_no_change() -> None:
    assert between(cell(), cell()) == []
    assert between(cell(), cell(memory_idle_mb=84.0, start_s=2.8, predict_per_s=2000.0)) == []


def test_figures_services_questions_and_healing_that_changed_are_shown() -> None:
    after = cell(
        memory_idle_mb=160.0,
        service_list=[{"name": "button", "memory_mb": 70.0}, {"name": "airflow", "memory_mb": 90.0}],
        questions=[],
        kills=[cell()["kills"][0] | {"healthy_s": None}],
    )
    assert between(cell(), after) == [
        ("memory, idle", "80 MB", "160 MB"),
        ("services", "not yet", "airflow"),
        ("questions answered", "Which version serves now?", "no longer"),
        ("button, killed", "came back", "never came back"),
    ]


def test_cells_that_only_one_report_has_and_another_machine_are_shown() -> None:
    before, after = report({"zeus": {"local": cell()}}), report({"nemesis": {"local": cell()}})
    after["machine"] = after["machine"] | {"cores": 64}
    found = [(each.tier, each.what, each.after) for each in changes.between(before, after)]
    assert found == [
        ("", "machine: cores", "64"),
        ("nemesis", "this cell", "measured"),
        ("zeus", "this cell", "not measured"),
    ]


def test_kills_of_other_services_are_not_compared() -> None:
    before, after = (
        report({"zeus": {"local": cell(kills_healed=7)}}),
        report({"zeus": {"local": cell(kills_healed=2, kills_before="prometheus")}}),
    )
    assert changes.between(before, after) == []
    assert "prometheus or an earlier tier" in page.render(after, None)
    assert "prometheus or an earlier tier" in markdown.render(after, None)


def test_the_page_and_the_markdown_show_changes() -> None:
    before, after = report({"zeus": {"local": cell()}}), report({"zeus": {"local": cell(start_s=12.0)}})
    for text in (page.render(after, before), markdown.render(after, before)):
        assert "What changed since 2026-11-30" in text
        assert "+380%" in text
    assert "Nothing, beyond" in page.render(after, after)
