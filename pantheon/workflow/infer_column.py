"""What one column is: a number, a boolean, a date, a category, an identifier …, and why it was taken for that."""

import math
import re
from dataclasses import dataclass, replace

import polars as pl

from pantheon.workflow.forms import nulls, parse_date, plain_number
from pantheon.workflow.spec import FALSE, TRUE, Column

NAME_OF_ID = re.compile(
    r"^(id|uuid|guid|index|idx|row|rowid|unnamed.*)$|^(id|row)[ _.\-]|[ _.\-](id|uuid|guid|nr|no)$", re.IGNORECASE
)
CAMEL_ID = re.compile(r"[a-z]I[dD]$")
UUID = r"^\{?[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?$"
YES = frozenset(text for text in TRUE if not text.isdigit()) | {"ja", "oui", "wahr", "si", "sí"}
NO = frozenset(text for text in FALSE if not text.isdigit()) | {"nein", "non", "falsch"}

DATE_FORMS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y",
    "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y",
    "%Y%m%d",
)  # fmt: skip
TIME_ENDINGS = (
    " %H:%M:%S%.f", "T%H:%M:%S%.f", " %H:%M", "T%H:%M", "T%H:%M:%S%.fZ", "T%H:%M:%S%.f%#z", " %H:%M:%S%.f%#z",
    " %I:%M:%S %p", " %I:%M %p",
)  # fmt: skip

SMALL = 20
"""So many categories are all listed, and others refused; more of them only where each was seen often."""
LISTED = 200
"""Categories in a spec, at most: the most frequent."""
ENTITY_ROWS = (1.2, 50.0)
"""Rows of one identifier, on average, for it to be an entity: with more it is a category."""


@dataclass(frozen=True)
class Evidence:
    """What is known of a column before it is judged.

    Attributes:
        name: the column's.
        cells: its sampled cells as trimmed text, null where missing.
        rows: rows of the whole file.
        step: every step-th of which was sampled.
        everything: all its values, where they are few.
        different: how many values the whole column has, about; 0 where the sample tells.
        native: boolean, integer, number, date or time where the file says so; else "".
    """

    name: str
    cells: pl.Series
    rows: int
    step: int
    everything: frozenset[str] | None
    native: str = ""
    different: int = 0

    @property
    def present(self) -> pl.Series:
        return self.cells.drop_nulls()

    @property
    def missing(self) -> float:
        return self.cells.null_count() / max(1, len(self.cells))


@dataclass(frozen=True)
class Style:
    """How the numbers of a file are written, and whether its days come first."""

    decimal: str = "."
    thousands: str = ""
    day_first: bool = False


def judge(seen: Evidence, style: Style) -> Column:
    """The column as it goes into the spec; its role is feature, ignore or entity."""
    present = seen.present
    if not len(present):
        return Column(seen.name, "category", "ignore", "every cell is missing")
    counts = present.value_counts(sort=True, name="count").sort(["count", seen.name], descending=[True, False])
    distinct = counts[seen.name]
    if len(distinct) == 1 and not seen.cells.null_count() and len(seen.everything or [1]) == 1:
        return Column(seen.name, "category", "ignore", f"always the same: {short(distinct[0])}")
    if seen.missing > 0.95:
        return Column(seen.name, "category", "ignore", f"missing in {seen.missing:.0%} of the rows")
    for way in (as_identifier, as_boolean, as_date, as_number):
        column = way(seen, counts, style)
        if column:
            return column
    return as_text(seen, counts)


def named_id(name: str) -> bool:
    """robot-id, id, PassengerId, row_nr, Unnamed: 0 … but not humid."""
    return bool(NAME_OF_ID.search(name) or CAMEL_ID.search(name))


def as_identifier(seen: Evidence, counts: pl.DataFrame, style: Style) -> Column | None:
    """Row numbers, UUIDs, keys: nothing that would be there for a row to come."""
    present, distinct = seen.present, counts[seen.name]
    share = len(distinct) / len(present)
    whole = present.cast(pl.Int64, strict=False)
    integers = whole.null_count() == 0
    if share == 1 and integers and not seen.cells.null_count() and len(present) > 1:
        steps = whole.diff().drop_nulls()
        span = int(whole.max() or 0) - int(whole.min() or 0)  # type: ignore[arg-type]
        if (steps > 0).all() and (span <= 3 * seen.rows or named_id(seen.name)):
            return Column(seen.name, "integer", "ignore", "numbers the rows: it only ever increases")
    if distinct.str.contains(UUID).mean() == 1 and share > 0.5:
        return Column(seen.name, "category", "ignore", "an identifier: UUIDs")
    if not named_id(seen.name) or len(present) < 5:
        return None
    if seen.different:
        share = min(1.0, seen.different / (seen.rows * (1 - seen.missing)))
    kind = "integer" if integers else "category"
    if share > 0.9:
        return Column(seen.name, kind, "ignore", f"an identifier: {share:.0%} of its values are different")
    rows_each = 1 / share
    if len(distinct) >= SMALL and ENTITY_ROWS[0] <= rows_each <= ENTITY_ROWS[1] and not seen.cells.null_count():
        why = f"an identifier, seen in {rows_each:.1f} rows each: all rows of one stay together in the split"
        return Column(seen.name, kind, "entity", why)
    return None


def as_boolean(seen: Evidence, counts: pl.DataFrame, style: Style) -> Column | None:
    """yes and no in one of several languages; 0 and 1 are integers."""
    texts = {text.casefold() for text in (seen.everything or counts[seen.name].to_list())}
    if seen.native != "boolean" and (not texts <= YES | NO or not texts & YES or not texts & NO):
        return None
    known = texts <= {*TRUE, *FALSE}
    return Column(
        seen.name,
        "boolean",
        why="two answers: " + " and ".join(map(short, counts[seen.name].head(2).to_list())),
        true=TRUE if known else (*TRUE, *sorted(texts & YES - set(TRUE))),
        false=FALSE if known else (*FALSE, *sorted(texts & NO - set(FALSE))),
        example=counts[seen.name][0].casefold() in YES,
    )


def as_date(seen: Evidence, counts: pl.DataFrame, style: Style) -> Column | None:
    """A date in the form that most of its values have."""
    texts = counts[seen.name].head(1000)
    if seen.native in ("date", "time"):
        form = "%Y-%m-%d" if seen.native == "date" else "%Y-%m-%d %H:%M:%S%.f"
        return Column(seen.name, "date", why="the file says so", format=form, example=texts[0][:19])
    if not texts.str.contains(r"^\D{0,10}\d{1,4}[ ./\-]\w{2,9}[ ,./\-]+\d|^(19|20)\d{6}$").mean():
        return None
    compact = texts.str.contains(r"^(19|20)\d{6}$").all()
    if compact and not re.search(r"date|day|datum|_on$|_at$", seen.name, re.IGNORECASE):
        return None
    forms = [form for form in DATE_FORMS if form != "%Y%m%d" or compact]
    scores = {form: readable(texts, form) for form in forms}
    if max(scores.values()) < 0.5:
        clock = [form + ending for form in forms for ending in TIME_ENDINGS if form != "%Y%m%d"]
        scores = {form: readable(texts, form) for form in clock}
    best = max(scores.values())
    if best < 0.5:
        return None
    equal = [form for form, score in scores.items() if score == best]
    form, doubt = pick(equal, seen.present, style)
    column = spoilt(seen, parse(seen.present, form).is_null(), Column(seen.name, "date", format=form))
    if column is None:
        return None
    example = parse(texts, form).drop_nulls()[0]
    why = f"dates written like {short(texts[0])}{doubt}"
    return replace(
        column,
        why=join(why, column.why),
        example=example.isoformat() if column.has_time else example.date().isoformat(),
    )


def parse(texts: pl.Series, form: str) -> pl.Series:
    return parse_date(texts, form, pl.Datetime("ms"))


def readable(texts: pl.Series, form: str) -> float:
    return 1 - parse(texts, form).null_count() / len(texts)


def pick(forms: list[str], texts: pl.Series, style: Style) -> tuple[str, str]:
    """One of several forms that fit as well: day or month first."""
    if len(forms) == 1:
        return forms[0], ""
    # In a file that is ordered by time, the right form gives the smaller steps.
    steps = {form: parse(texts, form).to_physical().diff().abs().mean() for form in forms}
    least = min(step for step in steps.values() if isinstance(step, float | int)) if len(texts) > 1 else 0
    near = [form for form in forms if not isinstance(steps[form], float | int) or steps[form] <= 1.2 * least]  # type: ignore[operator]
    near = near or forms
    day = [form for form in near if form.find("%d") < form.find("%m")]
    month = [form for form in near if form not in day]
    if not day or not month:
        return near[0], ""
    first = day if style.day_first or "." in day[0] else month
    return first[0], f"; {'day' if first is day else 'month'} first was assumed, both would fit"


def as_number(seen: Evidence, counts: pl.DataFrame, style: Style) -> Column | None:
    """A number, or a whole one."""
    present = seen.present
    if seen.native not in ("integer", "number") and counts[seen.name].str.contains(r"^0\d+$").any():
        return None  # 00123 is a code: as a number it would lose its zeros
    if seen.native:
        style = Style()
    numbers, whole = read_numbers(present, style)
    column = spoilt(seen, numbers.is_null(), Column(seen.name, "number"))
    if column is None:
        return None
    read = numbers.drop_nulls()
    if seen.step > 1:  # what was not sampled may have a fraction
        whole = seen.everything is not None and read_numbers(pl.Series(sorted(seen.everything)), style)[1]
    whole = seen.native == "integer" or (whole and not seen.native)
    ordered = read.sort()
    least, middle, most = float(ordered[0]), float(ordered[len(ordered) // 2]), float(ordered[-1])
    whole = whole and max(-least, most) < 2**53
    why = f"{'whole ' if whole else ''}numbers from {least:,.6g} to {most:,.6g}"
    return replace(
        column,
        type="integer" if whole else "number",
        why=join(why, column.why),
        example=int(middle) if whole else float(f"{middle:.6g}"),
    )


def read_numbers(texts: pl.Series, style: Style) -> tuple[pl.Series, bool]:
    """The number of each text, null where it is none, and whether all are written as whole ones."""
    plain = plain_number(texts, style.decimal, style.thousands)
    numbers = plain.cast(pl.Float64, strict=False)
    finite = numbers.is_finite().fill_null(False)
    return numbers.zip_with(finite, nulls(pl.Float64(), len(numbers))), not plain.filter(finite).str.contains(
        r"[.eE]"
    ).any()


def spoilt(seen: Evidence, bad: pl.Series, column: Column) -> Column | None:
    """The column with room for the cells that cannot be read, if they are few; None if it is something else.

    A few here and there become missing. A block of them looks like another column's values: that is left for
    `clean_data` to stop at, with the place.
    """
    count = int(bad.sum())
    if not count:
        return column
    share = count / len(bad)
    blocks = int((bad & ~bad.shift(1, fill_value=False)).sum())
    text = short(seen.present.filter(bad)[0])
    if share < 0.5 and count >= 20 * blocks:
        return replace(column, why=f"but a block of rows has others, such as {text}")
    if share > 0.2:
        return None
    room = math.ceil(200 * share) / 100
    return replace(column, max_unreadable=max(0.01, room), why=f"but {share:.1%} cannot be read, such as {text}")


def as_text(seen: Evidence, counts: pl.DataFrame) -> Column:
    """Categories, few or many; or text of which nothing can be learnt here."""
    present, distinct = seen.present, counts[seen.name]
    share = len(distinct) / len(present)
    words = int(present.str.count_matches(r"\S+").sum()) / len(present)
    length = int(present.str.len_chars().sum()) / len(present)
    if len(distinct) > SMALL and (length > 40 or (words > 4 and share > 0.5)):
        return Column(seen.name, "category", "ignore", f"free text, {words:.0f} words on average")
    if share > 0.5 and len(distinct) > SMALL:
        most = "nearly every value is different" if share > 0.9 else "too many different texts to learn from"
        return Column(seen.name, "category", "ignore", f"{most} ({len(distinct):,} in {len(present):,})")
    folded: dict[str, str] = {}
    for text in [*distinct, *sorted(seen.everything or ())]:
        folded.setdefault(text.casefold(), text)  # the most frequent way to write it
    texts = sorted(folded.values())
    if len(texts) <= SMALL or (len(texts) <= LISTED and len(present) >= 50 * len(texts)):
        why = f"{len(texts)} different texts"
        return Column(
            seen.name, "category", why=why, categories=tuple(texts), example=distinct[0], slice=len(texts) <= 10
        )
    often = sorted({folded[text.casefold()] for text in counts.filter(pl.col("count") > 1)[seen.name].head(LISTED)})
    why = f"{len(texts):,} different texts, the {len(often)} most frequent of which are listed"
    return Column(
        seen.name, "category", why=why, categories=tuple(often or texts[:LISTED]), unknown="other", example=distinct[0]
    )


def join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def short(text: str) -> str:
    return repr(text if len(text) <= 30 else text[:29] + "…")
