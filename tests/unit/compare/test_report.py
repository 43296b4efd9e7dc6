"""The report: complete in each form, safe to open, and honest about what it could not measure."""

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pantheon.compare import markdown, page, report, writing
from pantheon.compare.figures import ALL
from pantheon.errors import PantheonError
from tests.support import comparisons

TWO = comparisons.report(
    {
        "persephone": {"local": comparisons.cell(), "compose": comparisons.cell(memory_idle_mb=95.0)},
        "zeus": {"local": comparisons.cell(memory_idle_mb=900.0, services=8, kills_unlogged=None)},
    }
)


class Parsed(HTMLParser):
    """The tags and links of a page, and the tags that are still open at its end."""

    VOID = ("meta", "br", "rect", "path", "polygon")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.left_open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.left_open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.left_open.pop() == tag


def test_the_page_needs_no_other_file_and_is_well_formed() -> None:
    found = Parsed(page.render(TWO, None))
    assert found.left_open == []
    assert found.links == []
    assert not {"script", "link", "img", "iframe"} & set(found.tags)
    assert found.tags.count("svg") > 8, "charts, and a diagram for each tier"


@pytest.mark.parametrize("render", [page.render, markdown.render])
def test_every_figure_cell_and_the_machine_are_shown(render: object) -> None:
    text = html.unescape(render(TWO, None))  # type: ignore[operator]
    for figure in ALL:
        assert figure.title in text
    for word in ("persephone (compose)", "zeus (local)", "900 MB", "Example CPU", "abc1234", "the supervisor"):
        assert word in text
    assert "equal in every cell, to 1e-9" in text


def test_what_services_say_cannot_become_part_of_the_page() -> None:
    evil = "<script>alert(1)</script>"
    kills = [comparisons.cell()["kills"][0] | {"run": f"failed: {evil}"}]
    questions = [{"question": evil, "state": "answered", "answer": evil, "source": ""}]
    text = page.render(
        comparisons.report({"zeus": {"local": comparisons.cell(kills=kills, questions=questions)}}), None
    )
    assert evil not in text
    assert "&lt;script&gt;" in text


def test_cells_that_were_not_measured_or_on_a_busy_machine_are_named() -> None:
    errors = [{"tier": "kraken", "engine": "compose", "why": "an image could not be built."}]
    busy = comparisons.report({"zeus": {"local": comparisons.cell(busy_percent=90.0)}}, errors=errors)
    for text in (page.render(busy, None), markdown.render(busy, None)):
        assert "kraken on compose was not measured: an image could not be built." in text
        assert "busy with other work when it measured zeus (local)" in text


def test_metrics_are_equal_to_1e_9_or_the_places_are_named() -> None:
    other = json.loads(json.dumps(comparisons.METRICS))
    other["held_out"]["roc_auc"] += 1e-10
    cells = {"persephone": {"local": comparisons.cell()}, "zeus": {"local": comparisons.cell(metrics=other)}}
    assert report.differences_of(cells) == []
    other["held_out"]["roc_auc"] += 1e-8
    assert report.differences_of(cells) == ["zeus local: held_out.roc_auc"]


def test_a_written_report_is_read_back(tmp_path: Path) -> None:
    paths = writing.write(TWO, None, tmp_path / "docs" / "compare")
    assert [path.suffix for path in paths] == [".json", ".md", ".html"]
    assert report.read(paths[0]) == TWO


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "is not a report"),
        ('{"version": 99, "tiers": {}}', "Update Pantheon"),
        ("{", "is damaged"),
        (None, "cannot be read"),
    ],
)
def test_what_is_not_a_report_is_refused_in_one_sentence(tmp_path: Path, content: str | None, says: str) -> None:
    file = tmp_path / "report.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(PantheonError, match=re.escape(says)):
        report.read(file)
