"""Texts in requests are read as the cells of the training data were read: the same value, or both refuse it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pantheon.workflow.data.spec import NULLS, Column, Source
from tests.support.served import in_serving, in_training, same

BLANKS = st.sampled_from(["", "", " ", "\t", "\u00a0", " \u202f"])
CASES = st.sampled_from([str, str, str.lower, str.upper, str.title])


def spelt(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts with blanks around them, in any case, and sometimes with a wrong character."""
    clean = st.builds(lambda one, text, other, case: one + case(text) + other, BLANKS, texts, BLANKS, CASES)
    wrong = st.builds(
        lambda text, place, mark: text[: place % (len(text) + 1)] + mark + text[place % (len(text) + 1) :],
        clean,
        st.integers(0, 30),
        st.sampled_from([*"0 1,.'-+/:xe%€<()", "\u2212", "\u0663", "aa"]),
    )
    return clean | clean | wrong | st.sampled_from(["", " ", *NULLS]) | st.text(max_size=8)


def number_texts(decimal: str, thousands: str) -> st.SearchStrategy[str]:
    def write(value: float, digits: int, grouped: bool) -> str:
        text = f"{value:,.{digits}f}" if grouped else f"{value:.{digits}f}"
        return text.replace(",", "t").replace(".", decimal).replace("t", thousands)

    return (
        st.builds(write, st.floats(-1e7, 1e7), st.integers(0, 3), st.booleans())
        | st.integers(-(10**12), 10**12).map(str)
        | st.sampled_from(["1e3", "-2.5E-2", ".5", "5.", "007", "1e30", "1e39", "1e400", "-999", "nan", "inf", "0,517"])
    )


def agree(column: Column, source: Source, texts: list[str]) -> None:
    trained, served = in_training(texts, column, source), in_serving(texts, column, source)
    for text, one, other in zip(texts, trained, served, strict=True):
        assert same(one, other), (text, one, other)


many = settings(max_examples=25)


MARKS = [(".", ""), (".", ","), (",", "."), (",", ""), (".", " "), (".", "'")]
UNITS = {"€": 1.0, "EUR": 1.0, "%": 1.0, "kg": 1.0, "g": 0.001, "M": 1e6}


@many
@given(st.data())
def test_numbers(data: st.DataObject) -> None:
    decimal, thousands = data.draw(st.sampled_from(MARKS))
    column = Column(
        "x",
        data.draw(st.sampled_from(["number", "integer"])),
        nullable=True,
        min=data.draw(st.sampled_from([None, 0])),
        null_values=data.draw(st.sampled_from([(), ("-999", "k. A.")])),
    )
    texts = data.draw(st.lists(spelt(number_texts(decimal, thousands)), max_size=12))
    agree(column, Source(decimal=decimal, thousands=thousands), texts)


@many
@given(st.data())
def test_numbers_with_units_and_signs(data: st.DataObject) -> None:
    decimal, thousands = data.draw(st.sampled_from(MARKS))
    forms = tuple(data.draw(st.sets(st.sampled_from(["parentheses", "minus behind", "limits"]))))
    column = Column("x", nullable=True, decimal=decimal, thousands=thousands, units=UNITS, forms=forms)
    part = st.sampled_from(["", "", "", " ", *UNITS, "-", "(", ")", "<", ">=", "\u2265", "+", "\u2212"])
    around = st.builds(lambda *parts: "".join(parts), part, part, number_texts(decimal, thousands), part, part)
    agree(column, Source(), data.draw(st.lists(around, max_size=12)))


@many
@given(st.lists(spelt(st.sampled_from(["ja", "Nein", "Да", "yes", "1", "0", "FALSE", "k. A."])), max_size=12))
def test_booleans(texts: list[str]) -> None:
    column = Column("x", "boolean", nullable=True, true=("ja", "yes", "да", "1"), false=("nein", "нет", "0"))
    agree(column, Source(null_values=(*NULLS, "k. A.")), texts)


@many
@given(
    st.sampled_from(["warn", "other", "refuse"]),
    st.lists(spelt(st.sampled_from(["Bern", "Zürich", "a", "A", "Straße", "3", "x y", "Genf", "NA"])), max_size=12),
)
def test_categories(unknown: str, texts: list[str]) -> None:
    listed = ("Bern", "Zürich", "a", "A", "Straße", "3", "x y")
    agree(Column("x", "category", nullable=True, categories=listed, unknown=unknown), Source(), texts)


FORMATS = ["", "%d.%m.%Y", "%m/%d/%y", "%Y-%d-%m", "%d %b %Y", "%B %d, %Y", "%Y%m%d"]
CLOCKS = ["%d.%m.%Y %H:%M", "%Y-%m-%dT%H:%M:%S%.f%#z", "%m/%d/%Y %I:%M %p", "%Y-%m-%d %H:%M:%S%.f"]


@many
@given(st.data())
def test_dates(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from([*FORMATS, *CLOCKS]))
    written = st.builds(
        lambda when, form: when.strftime((form or "%Y-%m-%d").replace("%.f", ".5").replace("%#z", "+01:30")),
        st.datetimes(),
        st.sampled_from([form, form, *FORMATS, *CLOCKS, "%d/%m/%Y", "%b-%Y", "%Y-%m"]),
    )
    shorter = st.builds(lambda text, count: text.replace("0", "", count), written, st.integers(0, 2))
    low = data.draw(st.sampled_from([None, "2000-01-01"]))
    texts = data.draw(st.lists(spelt(written | shorter), max_size=12))
    others = data.draw(st.sampled_from([(), ("%d/%m/%Y",), ("%b-%Y", "%Y-%m")]))
    agree(Column("x", "date", nullable=True, format=form, formats=others, min=low), Source(), texts)


def test_times_have_upper_case_marks() -> None:
    texts = ["2000-01-01t00:00:00.5+01:30", "2000-01-01T00:00:00z", "2000-01-01T00:00:00Z", "2000-01-01 00:00:00"]
    agree(Column("x", "date", nullable=True), Source(), texts)
