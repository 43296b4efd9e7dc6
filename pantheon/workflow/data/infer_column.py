"""Infer what a column is, a number, boolean, date, category, identifier …, and explain why."""

import re
from dataclasses import replace

import polars as pl

from pantheon.workflow.data.evidence import Evidence, join, short, spoilt
from pantheon.workflow.data.infer_dates import as_date
from pantheon.workflow.data.infer_numbers import Found, Style, limited, look
from pantheon.workflow.data.number_forms import Written, read_numbers
from pantheon.workflow.data.spec import FALSE, TRUE, Column

NAME_OF_ID = re.compile(
    r"^(id|uuid|guid|index|idx|row|rowid|unnamed.*)$|^(id|row)[ _.\-]|[ _.\-](id|uuid|guid|nr|no)$", re.IGNORECASE
)
CAMEL_ID = re.compile(r"[a-z]I[dD]$")
UUID = r"^\{?[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?$"
YES = frozenset(text for text in TRUE if not text.isdigit()) | {
    *("+", "ja", "oui", "wahr", "si", "sí", "sim", "tak", "ano", "да", "是"),
}
NO = frozenset(text for text in FALSE if not text.isdigit()) | {
    *("-", "nein", "non", "falsch", "não", "nie", "ne", "нет", "否"),
}

COUNT = " count"
"""A name that no column of a file has: names are trimmed."""
SMALL = 20
"""Up to this many categories are all listed, and others refused; more only if every one of them is frequent."""
LISTED = 200
"""Categories in a spec, at most: the most frequent ones."""
CODES = re.compile(r"-9{1,6}|9{3,7}")
"""Numbers that stand for "missing" where they are far from all others."""
ENTITY_ROWS = (1.2, 50.0)
"""Average rows per identifier for it to be an entity; an identifier with more rows is a category."""


def judge(seen: Evidence, style: Style) -> Column:
    """Return the column for the spec; its role is feature, ignore or entity."""
    present = seen.present
    if not len(present):
        return Column(seen.name, "category", "ignore", "every cell is missing")
    counts = present.value_counts(sort=True, name=COUNT).sort([COUNT, seen.name], descending=[True, False])
    distinct = counts[seen.name]
    if len(distinct) == 1 and not seen.cells.null_count() and len(seen.everything or [1]) == 1:
        return Column(seen.name, "category", "ignore", f"has a single value: {short(distinct[0])}")
    if seen.missing > 0.95:
        return Column(seen.name, "category", "ignore", f"missing in {seen.missing:.0%} of the rows")
    for way in (as_identifier, as_boolean, as_date, as_number):
        column = way(seen, counts, style)
        if column:
            return column
    column = as_text(seen, counts)
    found = look(distinct, style) if column.role == "ignore" and not seen.native else None
    return replace(column, why=found.notes[0]) if found and not found.how and found.notes else column


def named_id(name: str) -> bool:
    """Whether the name is that of an identifier: robot-id, id, PassengerId, row_nr, Unnamed: 0 … but not humid."""
    return bool(NAME_OF_ID.search(name) or CAMEL_ID.search(name))


def as_identifier(seen: Evidence, counts: pl.DataFrame, style: Style) -> Column | None:
    """Detect row numbers, UUIDs and keys, whose values say nothing about a new row."""
    present, distinct = seen.present, counts[seen.name]
    share = len(distinct) / len(present)
    numbers = present.cast(pl.Int64, strict=False)
    integers = numbers.null_count() == 0
    if share == 1 and integers and not seen.cells.null_count() and len(present) > 1:
        steps = numbers.diff().drop_nulls()
        span = int(numbers.max() or 0) - int(numbers.min() or 0)  # type: ignore[arg-type]
        if (steps > 0).all() and (span <= 3 * seen.rows or named_id(seen.name)):
            return Column(seen.name, "integer", "ignore", "a row number: it increases from row to row")
    if distinct.str.contains(UUID).mean() == 1 and share > 0.5:
        return Column(seen.name, "category", "ignore", "an identifier: UUIDs")
    if not named_id(seen.name) or len(present) < 5:
        return None
    if seen.different:
        share = min(1.0, seen.different / (seen.rows * (1 - seen.missing)))
    kind = "integer" if integers else "category"
    if share > 0.9:
        return Column(seen.name, kind, "ignore", f"an identifier: {share:.0%} of its values are distinct")
    average = 1 / share
    if len(distinct) >= SMALL and ENTITY_ROWS[0] <= average <= ENTITY_ROWS[1] and not seen.cells.null_count():
        why = f"an identifier with {average:.1f} rows on average: its rows stay together in the split"
        return Column(seen.name, kind, "entity", why)
    return None


def as_boolean(seen: Evidence, counts: pl.DataFrame, style: Style) -> Column | None:
    """Detect yes and no in several languages; 0 and 1 are integers."""
    texts = {text.casefold() for text in (seen.everything or counts[seen.name].to_list())}
    if seen.native != "boolean" and (not texts <= YES | NO or not texts & YES or not texts & NO):
        return None
    standard = texts <= {*TRUE, *FALSE}
    return Column(
        seen.name,
        "boolean",
        why="two values: " + " and ".join(map(short, counts[seen.name].head(2).to_list())),
        true=TRUE if standard else (*TRUE, *sorted(texts & YES - set(TRUE))),
        false=FALSE if standard else (*FALSE, *sorted(texts & NO - set(FALSE))),
        example=counts[seen.name][0].casefold() in YES,
    )


def as_number(seen: Evidence, counts: pl.DataFrame, style: Style) -> Column | None:
    """Detect numbers and integers, in the forms in which people write them."""
    distinct = counts[seen.name]
    if seen.native not in ("integer", "number") and distinct.str.contains(r"^0\d+$").any():
        return None  # 00123 is a code: a number would lose the zeros
    if distinct.str.contains(r"^\+\d[\d ()/-]{6,}$").mean() > 0.5:  # type: ignore[operator]
        return None  # phone numbers
    if unread(distinct):
        return None  # 2019Q3 is not a number with a unit
    found = Found(Written()) if seen.native else look(distinct, style)
    if found.how is None:
        return None
    how = found.how
    numbers, whole = numbers_in(seen.present, how)
    column = spoilt(seen, numbers.is_null(), Column(seen.name, "number", units=dict(how.units), forms=how.forms))
    if column is None:
        return None
    if not seen.native and (how.decimal, how.thousands) != (style.decimal, style.thousands):
        column = replace(column, decimal=how.decimal, thousands=how.thousands)
    read = numbers.drop_nulls()
    codes = missing_codes(read)
    read = read.filter(~read.is_in(codes))
    if seen.step > 1:  # rows outside the sample may have fractions
        whole = seen.everything is not None and numbers_in(pl.Series(sorted(seen.everything)), how)[1]
    whole = seen.native == "integer" or (whole and not seen.native)
    ordered = read.sort()
    least, middle, most = float(ordered[0]), float(ordered[len(ordered) // 2]), float(ordered[-1])
    whole = whole and max(-least, most) < 2**53
    rounded = float(f"{middle:.6g}")
    notes = [f"{code:g} means missing" for code in codes]
    if "limits" in how.forms:
        limits = seen.present.filter(limited(seen.present))
        notes.append(f"{len(limits) / len(seen.present):.1%} are limits such as {limits[0]}, read as the number")
    why = f"{'whole ' if whole else ''}numbers from {least:,.6g} to {most:,.6g}"
    return replace(
        column,
        type="integer" if whole else "number",
        why=join(why, *found.notes, *notes, column.why),
        null_values=tuple(f"{code:g}" for code in codes),
        example=int(middle) if whole else rounded if least <= rounded <= most else middle,
    )


def numbers_in(texts: pl.Series, how: Written) -> tuple[pl.Series, bool]:
    """Return the number of every text, null for other texts, and whether all numbers are written as integers."""
    numbers, plain = read_numbers(texts, how)
    written = plain.filter(numbers.is_not_null())
    return numbers, not written.null_count() and not written.str.contains(r"[.eE]").any()


def missing_codes(numbers: pl.Series) -> list[float]:
    """Return numbers such as -999 that mean missing: they repeat, and all others are far from them."""
    low, high = float(numbers.min()), float(numbers.max())  # type: ignore[arg-type]
    codes = []
    for code in (low, high):
        count = int((numbers == code).sum())
        rest = numbers.filter(numbers != code)
        if not CODES.fullmatch(f"{code:.0f}" if code == round(code) else "") or count < max(3, len(numbers) // 200):
            continue
        if len(rest.unique()) < 3:
            continue
        if rest.min() >= 0 if code < 0 else rest.max() < code / 5:  # type: ignore[operator]
            codes.append(code)
    return codes


UNREAD = {
    r"^\d{1,2}:\d\d(:\d\d)?( ?[AaPp][Mm])?$": "times of day are not read: write hours as a number, such as 8.5",
    r"^\d{1,2}\.? (de )?\p{L}{3,10}\.?,? (de )?(19|20)\d\d$": "months are read in English only: write 2019-05-11",
    r"^(19|20)\d\d\W?[QWKST]\d\d?$": "quarters and weeks are not dates: write their first day, such as 2019-04-01",
}
"""Texts with an order that is not read, and what can be done."""


def unread(texts: pl.Series) -> str:
    """Return what texts are whose order is lost, and the cure; empty if there is none."""
    return next((cure for pattern, cure in UNREAD.items() if (texts.str.contains(pattern).mean() or 0) > 0.9), "")  # type: ignore[operator]


def as_text(seen: Evidence, counts: pl.DataFrame) -> Column:
    """Detect categories, few or many; other text is ignored."""
    present, distinct = seen.present, counts[seen.name]
    share = len(distinct) / len(present)
    average = int(present.str.count_matches(r"\S+").sum()) / len(present)
    length = int(present.str.len_chars().sum()) / len(present)
    if len(distinct) > SMALL and (length > 40 or (average > 4 and share > 0.5)):
        return Column(seen.name, "category", "ignore", f"free text with {average:.0f} words on average")
    if share > 0.5 and len(distinct) > SMALL:
        most = "nearly every value is distinct" if share > 0.9 else "too many distinct values to learn from"
        most = f"{most} ({len(distinct):,} of {len(present):,})"
        return Column(seen.name, "category", "ignore", join(most, unread(distinct)))
    folded: dict[str, str] = {}
    for text in [*distinct, *sorted(seen.everything or ())]:
        folded.setdefault(text.casefold(), text)  # the most frequent spelling
    texts = sorted(folded.values())
    if len(texts) <= SMALL or (len(texts) <= LISTED and len(present) >= 50 * len(texts)):
        why = join(f"{len(texts)} distinct values", unread(distinct))
        return Column(
            seen.name, "category", why=why, categories=tuple(texts), example=distinct[0], slice=len(texts) <= 10
        )
    often = sorted({folded[text.casefold()] for text in counts.filter(pl.col(COUNT) > 1)[seen.name].head(LISTED)})
    why = join(f"{len(texts):,} distinct values; the {len(often)} most frequent are listed", unread(distinct))
    return Column(
        seen.name, "category", why=why, categories=tuple(often or texts[:LISTED]), unknown="other", example=distinct[0]
    )
