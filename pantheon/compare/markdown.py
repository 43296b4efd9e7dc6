"""The report as Markdown."""

from collections.abc import Iterable, Sequence

from pantheon.compare import changes
from pantheon.compare.figures import BY_KEY, GROUPS, MISSING
from pantheon.compare.report import Report, cells_of, engines_of
from pantheon.compare.words import KILLS, healing, how, killed_before, machine_line, noise, questions_of


def render(report: Report, before: Report | None) -> str:
    """Return the report; with ``before``, also what changed since that one."""
    parts = [
        "# The tiers of Pantheon, measured",
        machine_line(report),
        *noise(report),
        *_changes(report, before),
        *_figures(report),
        "## Questions that each tier answers",
        _questions(report),
        "## What happens when a service is killed",
        *_kills(report),
        "## How it was measured",
        *how(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the first column is aligned to the left, the others to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _columns(report: Report) -> list[str]:
    several = len(engines_of(report)) > 1
    return [f"{tier} ({engine})" if several else tier for tier, engine, _ in cells_of(report)]


def _figures(report: Report) -> list[str]:
    cells = [cell for _, _, cell in cells_of(report)]
    parts = []
    for title, figures in GROUPS.items():
        rows = [[figure.title, *(figure.shown(cell.get(figure.key)) for cell in cells)] for figure in figures]
        parts += [f"## {title}", table(["", *_columns(report)], rows)]
    return parts


def _questions(report: Report) -> str:
    cells = [cell for _, _, cell in cells_of(report)]
    marks = {"answered": "yes", "unanswered": "not yet", "cannot": "no"}
    rows = [
        [question, *(marks.get(states.get(question, ""), MISSING) for states in map(questions_of, cells))]
        for question in dict.fromkeys(question for cell in cells for question in questions_of(cell))
    ]
    return table(["", *_columns(report)], rows)


def _kills(report: Report) -> list[str]:
    parts = []
    for title, (_, _, cell) in zip(_columns(report), cells_of(report), strict=True):
        rows = [
            [kill["service"], kill["noticed_by"] or "nobody", healing(kill), str(kill["unanswered"]),
             BY_KEY["kills_slowest_s"].shown(kill["slowest_answer_s"]), ", ".join(kill["broken"]) or "nothing",
             kill["run"]]
            for kill in cell["kills"]
        ]  # fmt: skip
        parts += [f"### {title}", killed_before(cell), table(KILLS, rows) if rows else ""]
        if cell["kills_lost"]:
            parts.append(f"Lost: {', '.join(cell['kills_lost'])}.")
    return parts


def _changes(report: Report, before: Report | None) -> list[str]:
    if before is None:
        return []
    found = changes.between(before, report)
    title = f"## What changed since {before['made'][:10]}"
    if not found:
        return [title, "Nothing, beyond what repeating the measurement would explain."]
    rows = [[f"{each.tier} {each.engine}".strip(), each.what, each.before, each.after, each.percent] for each in found]
    return [title, table(["", "what", "before", "after", ""], rows)]
