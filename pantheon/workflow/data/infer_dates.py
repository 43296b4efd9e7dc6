"""Find out how the dates of a column are written: in one way or several."""

import re
from dataclasses import replace

import polars as pl

from pantheon.workflow.data.date_forms import parse_date
from pantheon.workflow.data.evidence import Evidence, join, short, spoilt
from pantheon.workflow.data.infer_numbers import Style
from pantheon.workflow.data.spec import Column

DATE_FORMS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y",
    "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y",
    "%b-%d-%Y", "%b %d %Y", "%Y%m%d",
)  # fmt: skip
TIME_ENDINGS = (
    " %H:%M:%S%.f", "T%H:%M:%S%.f", " %H:%M", "T%H:%M", "T%H:%M:%S%.fZ", "T%H:%M:%S%.f%#z", " %H:%M:%S%.f%#z",
    " %I:%M:%S %p", " %I:%M %p",
)  # fmt: skip
MONTH_FORMS = (
    "%b-%Y", "%b %Y", "%B %Y", "%B-%Y", "%Y-%m", "%Y/%m", "%m/%Y", "%Y %b", "%Y-%b", "%Y %B", "%YM%m", "%b-%y",
)  # fmt: skip
"""Not "May 12", which may be a day."""
LIKE_DATES = (
    r"^\D{0,10}\d{1,4}[ ./\-]\w{2,9}[ ,./\-]+\d|^(19|20)\d{6}$|^\p{L}{3,9}[ \-](19|20)\d\d$|^(19|20)\d\d[/\-]\d{1,2}$"
    r"|^\d{1,2}/(19|20)\d\d$|^(19|20)\d\d[ \-]\p{L}{3,9}$|^(19|20)\d\dM\d\d$|^\p{L}{3}-\d\d$"
    r"|^\p{L}{3}[ \-]\d{1,2}[ \-](19|20)"
)
WAYS = 4  # in which dates are written in a column, at most
MAIN, RARE = 0.3, 0.02  # share of the texts that the first way, and each further one, has at least


def as_date(seen: Evidence, counts: pl.DataFrame, style: Style) -> Column | None:
    """Detect dates, in the formats that fit the values."""
    texts = counts[seen.name].head(1000)
    if seen.native in ("date", "time"):
        form = "%Y-%m-%d" if seen.native == "date" else "%Y-%m-%d %H:%M:%S%.f"
        return Column(seen.name, "date", why="declared as a date in the file", format=form, example=texts[0][:19])
    if not texts.str.contains(LIKE_DATES).mean():
        return None
    compact = texts.str.contains(r"^(19|20)\d{6}$").all()
    if compact and not re.search(r"date|day|datum|_on$|_at$", seen.name, re.IGNORECASE):
        return None
    forms, doubt = ways(texts, seen.present, style, compact)
    if not forms:
        return None
    moments = parse_any(seen.present, forms)
    column = spoilt(seen, moments.is_null(), Column(seen.name, "date", format=forms[0], formats=tuple(forms[1:])))
    if column is None:
        return None
    example = moments.drop_nulls()[0]
    examples = [parse(texts, form).is_not_null().arg_max() or 0 for form in forms]
    shown = " and ".join(short(texts[place]) for place in examples)
    why = join(f"dates such as {shown}{doubt}", column.why, swapped(texts, forms))
    example = parse(texts, forms[0]).drop_nulls()[0]
    return replace(column, why=why, example=example.isoformat() if column.has_time else example.date().isoformat())


def ways(texts: pl.Series, present: pl.Series, style: Style, compact: bool) -> tuple[list[str], str]:
    """Return the formats of a column's dates, the most frequent one first, and a doubt about day and month.

    Args:
        texts: distinct ones, the most frequent ones first.
        present: the cells in the order of the file.
    """
    days = [form for form in (*DATE_FORMS, *MONTH_FORMS) if form != "%Y%m%d" or compact]
    clock = [form + ending for form in DATE_FORMS for ending in TIME_ENDINGS if form != "%Y%m%d"]
    forms: list[str] = []
    doubts = ""
    rest = texts
    while len(rest) and len(forms) < WAYS:
        usable = [form for form in days if not against(form, forms)]
        scores = {form: readable(rest, form) for form in usable}
        if max(scores.values()) < 0.5:
            scores |= {form: readable(rest, form) for form in clock if not against(form, forms)}
        best = max(scores.values())
        if best * len(rest) < (RARE if forms else MAIN) * len(texts) or best * len(rest) < min(2, len(texts)):
            break
        equal = [form for form, score in scores.items() if score == best]
        form, doubt = pick(equal, present, style, forms)
        forms.append(form)
        doubts = doubts or doubt
        rest = rest.filter(parse(rest, form).is_null())
    return forms, doubts


def against(form: str, forms: list[str]) -> bool:
    """Whether a format is one of ``forms``, or one with day and month the other way round: cells may fit both."""
    turned = form.replace("%d", "%?").replace("%m", "%d").replace("%?", "%m")
    return form in forms or turned in forms


def parse(texts: pl.Series, form: str) -> pl.Series:
    return parse_date(texts, form, pl.Datetime("ms"))


def parse_any(texts: pl.Series, forms: list[str]) -> pl.Series:
    """Parse each text in the first of the formats that fits."""
    values = parse(texts, forms[0])
    for form in forms[1:]:
        values = values.zip_with(values.is_not_null(), parse(texts, form))
    return values


def readable(texts: pl.Series, form: str) -> float:
    return 1 - parse(texts, form).null_count() / len(texts)


def pick(forms: list[str], texts: pl.Series, style: Style, before: list[str] | None = None) -> tuple[str, str]:
    """Choose between formats that fit equally well: day or month first.

    Args:
        texts: the column's cells.
        before: formats of other cells, which are tried first.
    """
    if len(forms) == 1:
        return forms[0], ""
    # In a file that is ordered by time, the right format gives the smaller steps.
    steps = {form: parse_any(texts, [*(before or []), form]).to_physical().diff().abs().mean() for form in forms}
    least = min((step for step in steps.values() if isinstance(step, float | int)), default=0)
    near = [form for form in forms if not isinstance(steps[form], float | int) or steps[form] <= 1.2 * least]  # type: ignore[operator]
    near = near or forms
    day = [form for form in near if form.find("%d") < form.find("%m")]
    month = [form for form in near if form not in day]
    if not day or not month:
        return near[0], ""
    first = day if style.day_first or "." in day[0] else month
    return first[0], f"; {'day' if first is day else 'month'} first is assumed; both orders fit"


def swapped(texts: pl.Series, forms: list[str]) -> str:
    """Return a warning where Excel may have read some of the dates with day and month swapped, and left the others."""
    iso = [form for form in forms if form.startswith("%Y-%m-%d")]
    other = [form for form in forms if form.startswith("%d/%m/") or form.startswith("%m/%d/")]
    if not iso or not other:
        return ""
    real, text = parse(texts, iso[0]).drop_nulls(), texts.filter(parse(texts, other[0]).is_not_null())
    numbers = text.str.extract(r"^(\d+)").cast(pl.Int64, strict=False)
    if len(text) >= 5 and real.dt.day().max() <= 12 and (numbers.min() or 0) > 12:  # type: ignore[operator]
        return (
            f"but the others have no day after the 12th, and texts such as {short(text[0])} only later days: a program "
            "may have swapped day and month in the others"
        )
    return ""
