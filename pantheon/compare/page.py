"""The report as one page: no other file is needed to show it. Readable on a phone, in the dark, and on paper."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from pantheon import tiers
from pantheon.compare import changes
from pantheon.compare.charts import Row, bars
from pantheon.compare.figures import BY_KEY, GROUPS, MISSING
from pantheon.compare.report import Figures, Report, cells_of, engines_of
from pantheon.compare.words import KILLS, equality, healing, how, killed_before, machine_line, noise, questions_of

CHARTS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (  # title; key and name of each series
    ("Memory", (("memory_idle_mb", "idle"), ("memory_peak_mb", "peak of a run"))),
    ("Start", (("start_s", "from nothing"), ("from_down_s", "from down"), ("up_again_s", "already up"))),
    ("One run of the workflow", (("run_s", ""),)),
    ("Disk", (("software_mb", "environments or images"), ("state_mb", "the deployment"))),
    ("Latency of a prediction, 1 client", (("predict_p50_ms", "median"), ("predict_p99_ms", "99 %"))),
    ("Predictions a second", (("predict_per_s", "1 client"), ("predict16_per_s", "16 clients"))),
    ("Parts", (("services", "services"), ("processes", "processes"), ("ports", "open ports"))),
    ("Processor while idle, of one core", (("cpu_idle_percent", ""),)),
)
MARKS = {"answered": ("yes", "✓"), "unanswered": ("no", "not yet"), "cannot": ("no", "·"), "": ("no", MISSING)}


def render(report: Report, before: Report | None) -> str:
    """Return the page; with ``before``, also what changed since that report."""
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    warnings = [f'<p class="notice">{escape(text)}</p>' for text in noise(report)]
    body = [
        "<h1>The tiers of Pantheon, measured</h1>",
        f'<p class="machine">{escape(machine_line(report))}</p>',
        *warnings,
        _facts(report),
        _changes(report, before),
        "<h2>Side by side</h2>",
        f'<div class="charts">{"".join(_chart(report, title, series) for title, series in CHARTS)}</div>',
        "<h2>Every figure</h2>",
        _figures(report),
        "<h2>The run, stage by stage</h2>",
        "<p>Seconds of work. Where stages run at the same time, a run takes less than their sum; where each stage "
        "starts a process, a task or a kernel of its own, it takes more.</p>",
        _stages(report),
        "<h2>The model</h2>",
        f"<p>{escape(equality(report))}</p>",
        _metrics(report),
        "<h2>Questions that each tier answers</h2>",
        _questions(report),
        "<h2>Tier by tier</h2>",
        *(_tier(report, name) for name in report["tiers"] if report["tiers"][name]),
        "<h2>How it was measured</h2>",
        *(f"<p>{_code(text)}</p>" for text in how(report) if text),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>The tiers of Pantheon, measured</title>\n<style>{css}</style></head>\n<body><main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main></body></html>\n"
    )


def _code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _titles(report: Report) -> list[str]:
    several = len(engines_of(report)) > 1
    return [f"{tier} ({engine})" if several else tier for tier, engine, _ in cells_of(report)]


def _facts(report: Report) -> str:
    """The first and the last cell of each engine, in a few numbers."""
    cells = list(cells_of(report))
    if not cells:
        return ""
    found = []
    for engine in engines_of(report):
        own = [(tier, cell) for tier, each, cell in cells if each == engine]
        (first, small), (last, large) = own[0], own[-1]
        if first == last:
            continue
        where = f", on {engine}" if len(engines_of(report)) > 1 else ""
        for key, text in (
            ("memory_idle_mb", "of memory when idle"),
            ("start_s", "from nothing until healthy"),
            ("services", "services"),
            ("questions_answered", "questions answered"),
        ):
            figure = BY_KEY[key]
            numbers = f"{figure.shown(small.get(key))} → {figure.shown(large.get(key))}"
            found.append(f"<li><b>{escape(numbers)}</b>{escape(f'{text}, {first} → {last}{where}')}</li>")
    return f'<ul class="facts">{"".join(found)}</ul>' if found else ""


def _chart(report: Report, title: str, series: Sequence[tuple[str, str]]) -> str:
    rows = []
    for label, (_, _, cell) in zip(_titles(report), cells_of(report), strict=True):
        values = [(cell.get(key), BY_KEY[key].shown(cell.get(key))) for key, _ in series]
        rows.append(Row(label, values))
    return bars(title, rows, [name for _, name in series if name])


def table(header: Sequence[str], rows: Iterable[str]) -> str:
    """Return a table that scrolls on a narrow page; ``rows`` are elements ``tr``."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def row(title: str, cells: Iterable[tuple[str, str]]) -> str:
    """Return a row: its title, then texts with the class of their cells."""
    shown = "".join(f'<td class="{name}">{escape(text)}</td>' for text, name in cells)
    return f'<tr><th scope="row">{escape(title)}</th>{shown}</tr>'


def _figures(report: Report) -> str:
    cells = [cell for _, _, cell in cells_of(report)]
    rows = []
    for title, figures in GROUPS.items():
        rows.append(f'<tr class="group"><th colspan="{len(cells) + 1}">{escape(title)}</th></tr>')
        for figure in figures:
            rows.append(row(figure.title, ((figure.shown(cell.get(figure.key)), "") for cell in cells)))
    return table(["", *_titles(report)], rows)


def _stages(report: Report) -> str:
    cells = [cell for _, _, cell in cells_of(report)]
    names = dict.fromkeys(stage for cell in cells for stage in cell["stages"])
    rows = []
    for name in names:
        times = [cell["stages"].get(name) for cell in cells]
        shown = [(MISSING if time is None else f"{time:.2f}", "") for time in times]
        rows.append(row(name.replace("_", " "), shown))
    rows.append(row("sum", ((f"{sum(cell['stages'].values()):.1f}", "") for cell in cells)))
    rows.append(row("the run", ((f"{cell['run_s']:.1f}", "") for cell in cells)))
    return table(["", *_titles(report)], rows)


def _metrics(report: Report) -> str:
    """The scores on held-out rows: one column if they are equal everywhere."""
    cells, titles = [cell for _, _, cell in cells_of(report)], _titles(report)
    if report["metrics_equal"]:
        cells, titles = cells[:1], ["on held-out rows, in every cell"]
    scores = [cell["metrics"].get("held_out", {}) for cell in cells]
    rows = [
        row(name.replace("_", " "), ((str(each.get(name, MISSING)), "") for each in scores))
        for name in dict.fromkeys(name for each in scores for name in each)
    ]
    return table(["", *titles], rows)


def _questions(report: Report) -> str:
    states = [questions_of(cell) for _, _, cell in cells_of(report)]
    rows = []
    for question in dict.fromkeys(question for each in states for question in each):
        cells = [MARKS[each.get(question, "")] for each in states]
        rows.append(row(question, ((text, name) for name, text in cells)))
    return table(["", *_titles(report)], rows)


def _tier(report: Report, name: str) -> str:
    """What the tier is, what it cost, and what happened when its services were killed."""
    known = {tier.name: tier for tier in tiers.all_tiers()}.get(name)
    named, by_engine = report["names"][name], report["tiers"][name]
    parts = [f"<h3>{named['number']} · {escape(named['title'])}</h3>", f"<p>Adds {escape(named['adds'])}.</p>"]
    diagram = ""
    if known:
        parts.append(f"<p>{escape(story(known))}</p>")
        file = known.folder / "diagram.svg"
        diagram = file.read_text(encoding="utf-8") if file.is_file() else ""
    for engine, cell in by_engine.items():
        services = ", ".join(f"{each['name']} {each['memory_mb']:,.0f} MB" for each in cell["service_list"])
        parts.append(
            f"<h4>{escape(engine)}</h4><dl><dt>services</dt><dd>{escape(services)}</dd>"
            f"<dt>ports</dt><dd>{escape(', '.join(map(str, cell['port_list'])))}</dd></dl>"
        )
    kills = "".join(_kills(engine, cell) for engine, cell in by_engine.items())
    return f'<article><div class="tier"><div>{"".join(parts)}</div><div>{diagram}</div></div>{kills}</article>'


def story(tier: tiers.Tier) -> str:
    """Return the story in the tier's README, without marks; else the sentence of its tier.toml."""
    readme = tier.folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    found = re.search(r"\*\*The story\.\*\* (.+?)\n\n", text, flags=re.DOTALL)
    plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", found[1]) if found else tier.story
    return " ".join(plain.replace("**", "").replace("`", "").split())


def _kills(engine: str, cell: Figures) -> str:
    rows = []
    for kill in cell["kills"]:
        broken = ", ".join(kill["broken"])
        rows.append(
            row(
                kill["service"],
                [
                    (kill["noticed_by"] or "nobody", "text"),
                    (healing(kill), "" if kill["healthy_s"] is not None else "bad"),
                    (f"{kill['unanswered']:,}", "bad" if kill["unanswered"] else ""),
                    (BY_KEY["kills_slowest_s"].shown(kill["slowest_answer_s"]), ""),
                    (broken or "nothing", "text bad" if broken else "text"),
                    (kill["run"], "text bad" if kill["run"].startswith("failed:") else "text"),
                ],
            )
        )
    lost = ", ".join(cell["kills_lost"])
    whole = "<p>Afterwards, every version, finished run and answer was still there.</p>"
    after = f'<p class="bad">Lost: {escape(lost)}.</p>' if lost else whole
    title = f"Services killed with SIGKILL ({escape(engine)})"
    begin = f"<p>{escape(killed_before(cell))}</p>" if killed_before(cell) else ""
    shown = f"{table(KILLS, rows)}{after}" if rows else ""
    return f"<details><summary>{title}</summary>{begin}{shown}</details>"


def _changes(report: Report, before: Report | None) -> str:
    if before is None:
        return ""
    title = f"<h2>What changed since {escape(before['made'][:10])}</h2>"
    found = changes.between(before, report)
    if not found:
        return f"{title}<p>Nothing, beyond what repeating the measurement would explain.</p>"
    rows = [
        row(
            f"{each.tier} {each.engine}".strip() or "everywhere",
            [(each.what, "text"), (each.before, "text"), (each.after, "text"), (each.percent, "")],
        )
        for each in found
    ]
    return title + table(["", "what", "before", "after", ""], rows)
