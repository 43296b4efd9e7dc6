"""Values as people write them: what inference finds, what it says, and what cleaning then reads."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.data.spec import Column, Spec
from pantheon.workflow.data.spec_file import dump_spec, parse_spec, read_spec
from pantheon.workflow.run import Run
from pantheon.workflow.stages.clean_data import clean_data
from pantheon.workflow.stages.load_data import load_data
from tests.support.data import clean
from tests.support.excel import write_excel

Write = Callable[..., Path]
Through = Callable[..., Run]
ROWS = 240


def table(columns: dict[str, list[str]], separator: str = ",") -> str:
    """A CSV with these columns, each repeated to ``ROWS`` cells, and a target ``y`` that goes with nothing."""
    full = {name: (cells * ROWS)[:ROWS] for name, cells in columns.items()}
    full.setdefault("y", ["ab"[n // 3 * 7 % 5 % 2] for n in range(ROWS)])
    full["other"] = [str(n % 7) for n in range(ROWS)]
    lines = [
        separator.join(f'"{cell}"' if separator in cell else cell for cell in row)
        for row in zip(*full.values(), strict=True)
    ]
    return "\n".join([separator.join(full), *lines]) + "\n"


@pytest.fixture
def read(write: Write, new_run: Callable[..., Run]) -> Callable[..., tuple[Column, list[object]]]:
    """Return the column ``x`` of the inferred spec, and its clean values in the order of the file."""

    def read(cells: list[str], separator: str = ",", **others: list[str]) -> tuple[Column, list[object]]:
        spec = infer_spec(write(table({"x": cells, **others}, separator)), "y")
        assert parse_spec(dump_spec(spec)) == spec
        run = new_run(spec)
        load_data(run)
        clean_data(run)
        values = clean(run)["x"].to_list()[: len(cells)] if spec.column("x").role != "ignore" else []
        return spec.column("x"), values

    return read


Read = Callable[..., tuple[Column, list[object]]]


# Words for missing


@pytest.mark.parametrize("word", ["NA", "None", "null", "-", "N/A"])
def test_a_frequent_word_for_missing_is_a_category_and_the_reason_says_so(read: Read, word: str) -> None:
    column, values = read(["AF", word, "EU", "AS"])
    assert column.categories == tuple(sorted(["AF", word, "EU", "AS"]))
    assert "not missing" in column.why
    assert not column.nullable
    assert values == ["AF", word, "EU", "AS"]


def test_a_word_for_missing_is_a_category_if_it_is_one_of_two_values(read: Read) -> None:
    column, values = read(["x", "x", "-", "x", "", "x", "x"])
    assert (column.categories, column.nullable) == (("-", "x"), True)
    assert values[:5] == ["x", "x", "-", "x", None]


@pytest.mark.parametrize("cells", [["AF", "EU", "AS", "EU"] * 30 + ["NA"], ["AF", "?", "EU"], ["AF", "nan", "EU"]])
def test_a_rare_word_or_one_that_programs_write_is_missing_and_counted(read: Read, cells: list[str]) -> None:
    column, _ = read(cells)
    word = next(cell for cell in cells if cell not in ("AF", "EU", "AS"))
    assert word not in column.categories
    assert "missing in" in column.why
    assert f"{word!r} " in column.why


@pytest.mark.parametrize(
    ("cells", "classes", "positive"),
    [
        (["+", "-"], ("-", "+"), "+"),
        (["yes", "None"], ("None", "yes"), "yes"),
        (["EU", "NA"], ("NA", "EU"), "EU"),
        (["NA", "EU", "AS"], ("AS", "EU", "NA"), None),
    ],
)
def test_words_for_missing_are_classes(
    write: Write, through: Through, cells: list[str], classes: tuple[str, ...], positive: str | None
) -> None:
    run = through(write(table({"x": [f"{n}.5" for n in range(9)], "y": cells})))
    spec = read_spec(run.path("spec.toml"))
    assert (spec.target.classes, spec.target.positive) == (classes, positive)
    assert clean(run).height == ROWS


def test_signs_of_a_feature_are_a_boolean(read: Read) -> None:
    column, values = read(["+", "-", "-"])
    assert column.type == "boolean"
    assert values == [True, False, False]


def test_what_cleaning_took_as_missing_is_said_with_counts(write: Write, new_run: Callable[..., Run]) -> None:
    spec = infer_spec(write(table({"x": ["1.5", "2.5", "n/a", "3.5", "?"], "z": ["a", "b", "c", ""]})), "y")
    run = new_run(spec)
    load_data(run)
    [note] = clean_data(run)["notes"]
    assert note.startswith(("taken as missing: 'x': 'n/a' 48, '?' 48", "taken as missing: 'x': '?' 48, 'n/a' 48"))


@pytest.mark.parametrize(
    ("cells", "missing"),
    [
        (["1", "5", "-999", "7", "12"], ("-999",)),
        (["1.5", "5", "9999", "7.25", "12"], ("9999",)),
        (["1", "5", "unknown", "7", "12"], ("unknown",)),
        (["03/04/2021", "25/12/2020", "00/00/0000", "13/11/2021"], ("00/00/0000",)),
        (["1", "5", "-9", "-7", "12"], ()),
        (["800", "850", "999", "700"], ()),
    ],
)
def test_codes_for_missing_belong_to_one_column(read: Read, cells: list[str], missing: tuple[str, ...]) -> None:
    column, values = read(cells)
    assert column.null_values == missing
    assert [value is None for value in values] == [cell in missing for cell in cells]
    assert bool(missing) == column.nullable == ("missing" in column.why)


# Numbers


def many(form: str) -> list[str]:
    """Numbers from 1 to 40 in a form such as "{} kg"."""
    return [form.format(n) for n in range(1, 41)]


@pytest.mark.parametrize(
    ("cells", "values", "why"),
    [
        (many("{} kg"), list(range(1, 41)), "in kg"),
        (many("{}.5%"), [n + 0.5 for n in range(1, 41)], "in %"),
        (many("{}\u00a0%"), list(range(1, 41)), "in %"),
        (many("${},000.25"), [n * 1000 + 0.25 for n in range(1, 41)], "in $"),
        (many("-${}"), [-n for n in range(1, 41)], "in $"),
        (many("EUR {}"), list(range(1, 41)), "in EUR"),
        (many("\u20b9{},00,000"), [n * 100_000 for n in range(1, 41)], "in \u20b9"),
        ([f"\u20ac{n}K" for n in range(1, 20)] + ["\u20ac1.5M"], [n * 1e3 for n in range(1, 20)] + [1.5e6], "for M"),
        (many("({}.25)"), [-n - 0.25 for n in range(1, 41)], "(1) is -1"),
        (many("{}-"), [-n for n in range(1, 41)], "1- is -1"),
        (many("\u2212{}"), [-n for n in range(1, 41)], ""),
        (many("{}.5e-3"), [(n + 0.5) / 1000 for n in range(1, 41)], ""),
        (many("{}\u202f000"), [n * 1000 for n in range(1, 41)], ""),
        (many("{}'000.5"), [n * 1000 + 0.5 for n in range(1, 41)], ""),
    ],
)  # fmt: skip
def test_numbers_are_found_in_the_forms_in_which_people_write_them(
    read: Read, cells: list[str], values: list[float], why: str
) -> None:
    column, result = read(cells)
    assert column.type in ("number", "integer")
    assert why in column.why
    assert result == pytest.approx(values)


def test_limits_are_numbers_and_their_share_is_said(read: Read) -> None:
    column, values = read([*many("{}.5"), "<0.5", ">100"])
    assert column.forms == ("limits",)
    assert "4.2% are limits such as <0.5, read as the number" in column.why
    assert (values[40], values[41], column.nullable) == (0.5, 100.0, False)


def test_a_few_steps_with_limits_are_categories(read: Read) -> None:
    assert read(["< 1 year", "1 year", "2 years", "10+ years"])[0].type == "category"


def test_several_units_are_not_mixed_and_the_reason_says_what_to_set(read: Read) -> None:
    column, _ = read([f"{n} {('kg', 'g', 'lb')[n % 3]}" for n in range(ROWS)])
    assert column.role == "ignore"
    assert 'units = {"kg" = 1, "g" = 1, "lb" = 1}' in column.why


def test_a_group_of_thousands_never_begins_with_zero(read: Read) -> None:
    column, values = read(["0.517", "1.828", "0.095"], ";", z=["1,5", "2,75", "3,5", "4,25", "5,5"])
    assert (column.type, column.decimal) == ("number", ".")
    assert values == [0.517, 1.828, 0.095]


def test_an_ambiguous_group_is_said(read: Read) -> None:
    column, values = read(["1,234", "5,678", "9,012"], z=["1,234,567.5"])
    assert values == [1234, 5678, 9012]
    assert "1,234 is read as 1234; a decimal mark would fit, too" in column.why


@pytest.mark.parametrize(
    "form", ["00{}", "C-00{}", "+49 30 4343{}", "+49 301 434 3{}1", "10.0.0.{}", "SKU{}", "EUR-00{}", "{}/7"]
)
def test_codes_phones_and_addresses_are_not_numbers(read: Read, form: str) -> None:
    assert read(many(form))[0].type == "category"


def test_the_unit_of_a_target_is_that_of_the_predicted_number(write: Write, through: Through) -> None:
    prices = [f"{n * 37 % 97 + 1}.{n * 53 % 100:02},{n % 10}0 \u20ac".replace(".", ".1") for n in range(ROWS)]
    run = through(write(table({"x": [f"{n}" for n in range(9)], "y": prices}, ";")))
    spec = read_spec(run.path("spec.toml"))
    assert (spec.task, spec.target.unit, spec.column("y").units) == ("regression", "\u20ac", {"\u20ac": 1.0})
    assert clean(run).height == ROWS


# Whole numbers as classes


def whole(write: Write, cells: list[int]) -> Spec:
    return infer_spec(write(table({"x": [f"{n}.5" for n in range(9)], "y": [str(cell) for cell in cells]})), "y")


@pytest.mark.parametrize(
    "cells", [range(1, 13), range(1, 21), range(12), [3, 4, 5, 6, 9], [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]]
)
def test_numbers_of_groups_are_classes(write: Write, cells: list[int]) -> None:
    spec = whole(write, list(cells))
    assert (spec.task, spec.target.classes) == ("classification", tuple(cells))
    assert 'task = "regression"' in spec.column("y").why


@pytest.mark.parametrize("cells", [[0] * 60 + [1] * 40 + list(range(2, 15)), range(40), range(5, 90, 5), range(18, 30)])
def test_counts_and_quantities_are_numbers(write: Write, cells: list[int]) -> None:
    spec = whole(write, list(cells))
    assert spec.task == "regression"
    assert 'task = "classification"' in spec.column("y").why


@pytest.mark.parametrize("cells", [list(range(1, 13)), list(range(18, 30))])
def test_the_task_of_whole_numbers_is_changed_in_one_line(write: Write, through: Through, cells: list[int]) -> None:
    spec = whole(write, cells)
    other = "regression" if spec.task == "classification" else "classification"
    text = dump_spec(spec).replace(f'task = "{spec.task}"', f'task = "{other}"', 1)
    run = through(parse_spec(text))
    codes = set(clean(run)["y"])
    assert codes == (set(map(float, cells)) if other == "regression" else set(range(len(cells))))


# Dates


DAYS = [date(2024, 1, 1 + n) for n in range(31)]


@pytest.mark.parametrize(
    ("forms", "found"),
    [
        (["%Y-%m-%d", "%d/%m/%Y"], {"%Y-%m-%d", "%d/%m/%Y"}),
        (["%d.%m.%Y", "%Y-%m-%d", "%d %b %Y"], {"%d.%m.%Y", "%Y-%m-%d", "%d %b %Y"}),
        (["%m/%d/%Y", "%B %d, %Y"], {"%m/%d/%Y", "%B %d, %Y"}),
    ],
)
def test_dates_in_one_column_may_be_written_in_several_ways(read: Read, forms: list[str], found: set[str]) -> None:
    column, values = read([day.strftime(forms[n % len(forms)]) for n, day in enumerate(DAYS)])
    assert {column.format, *column.formats} == found
    assert values == DAYS
    assert " and '" in column.why


def test_day_first_and_month_first_in_one_column_are_not_mixed(read: Read) -> None:
    column, _ = read([day.strftime("%d/%m/%Y" if n % 2 else "%m/%d/%Y") for n, day in enumerate(DAYS[12:])])
    assert len({column.format, *column.formats} & {"%d/%m/%Y", "%m/%d/%Y"}) < 2


@pytest.mark.parametrize("form", ["%b-%Y", "%Y-%m", "%m/%Y", "%Y %b", "%YM%m", "%b-%y"])
def test_months_are_dates(read: Read, form: str) -> None:
    column, values = read([date(2015, month, 1).strftime(form) for month in range(1, 13)])
    assert column.format == form
    assert values == [date(2015, month, 1) for month in range(1, 13)]


@pytest.mark.parametrize("form", ["%b-%d-%Y", "%b %d %Y"])
def test_dates_may_begin_with_the_name_of_the_month(read: Read, form: str) -> None:
    column, values = read([day.strftime(form) for day in DAYS])
    assert column.format == form
    assert values == DAYS


def test_dates_as_text_among_real_dates_of_excel(tmp_path: Path, through: Through) -> None:
    cells: list[object] = [day.strftime("%d/%m/%Y") if n % 5 == 4 else day for n, day in enumerate(DAYS * 4)]
    rows = [["sold", "x", "y"], *([cell, n % 7, "ab"[n // 3 % 2]] for n, cell in enumerate(cells))]
    run = through(write_excel(tmp_path / "table.xlsx", rows))
    assert clean(run)["sold"].to_list() == DAYS * 4


def test_dates_that_excel_may_have_turned_are_said(read: Read) -> None:
    days = [date(2024, month, day) for month in range(1, 13) for day in range(1, 29)]
    cells = [day.strftime("%d/%m/%Y") if day.day > 12 else date(2024, day.day, day.month).isoformat() for day in days]
    assert "swapped day and month" in read(cells)[0].why


@pytest.mark.parametrize(
    ("write_day", "cure"),
    [
        (lambda day: f"{day.day % 24:02}:{day.month * 4:02}", "write hours as a number"),
        (lambda day: f"{day.day}. Oktober {day.year - day.month}", "write 2019-05-11"),
        (lambda day: f"{day.year - day.day}Q{day.month % 4 + 1}", "write their first day"),
    ],
)
def test_times_foreign_months_and_quarters_are_texts_and_the_reason_names_a_cure(
    read: Read, write_day: Callable[[date], str], cure: str
) -> None:
    column, _ = read([write_day(day) for day in DAYS])
    assert column.type == "category"
    assert cure in column.why


@pytest.mark.parametrize("unit", ["m2", "km/h", "\u00b5g/m\u00b3", "CO2"])
def test_units_may_contain_digits_and_signs(read: Read, unit: str) -> None:
    column, values = read([f"{n} {unit}" for n in range(20, 60)])
    assert (column.units, values) == ({unit: 1.0}, list(range(20, 60)))


def test_quarters_that_decide_the_target_are_no_entities(tmp_path: Path) -> None:
    quarters = [f"{2000 + n // 40}Q{n // 10 % 4 + 1}" for n in range(400)]
    rows = [f"{quarter},{n * 7919 % 101},{int(quarter > '2005')}" for n, quarter in enumerate(quarters)]
    file = tmp_path / "sales.csv"
    file.write_text("\n".join(["quarter,x,y", *rows]))
    assert infer_spec(file, "y").column("quarter").role == "feature"
