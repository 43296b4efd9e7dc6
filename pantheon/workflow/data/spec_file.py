"""Read a spec from a TOML file, with errors that name file, line and field, and write one that people can edit."""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.workflow.data import stored
from pantheon.workflow.data.spec import (
    FORMATS,
    FORMS,
    KINDS,
    ROLES,
    SPLITS,
    TASKS,
    TYPES,
    UNKNOWN,
    Column,
    Source,
    Spec,
    Split,
    Store,
    Target,
    label_key,
    same,
)

HEAD = """The spec of this dataset: how to read it, and the rules for its data. Correct what is wrong, then run again.

type   number, integer, boolean, category or date
role   feature: an input of the model · target · entity: its rows stay together in the split · time · ignore
A cell is unreadable if it cannot be parsed as the column's type, or is below min or above max.
Unreadable cells become missing; a share of them above max_unreadable (default 0.01) stops the run.
A share of missing cells above max_missing (default 0.5) stops the run.
Rows without a target, or without a value for a feature that is not nullable, are dropped.
A category that is not listed is treated as missing, and every run says how many there are; with unknown = "other",
runs do not say it; with unknown = "refuse", it is unreadable.
units, forms, decimal, thousands, format, formats and null_values say how a column's cells are written: docs/data.md."""

DATE_CODE = re.compile(r"%(?:[-_0](?=[A-Za-z])|[.#:]?[369]?(?=[fz]))?[A-Za-z+%]|%")
DATE_CODES = {f"%{pad}{code}" for code in "YymdejHIMS" for pad in ("", "-", "_", "0")}
DATE_CODES |= {f"%{code}" for code in "bhBaApPFDTR+%ntZzf"}
DATE_CODES |= {"%:z", "%#z", "%3f", "%6f", "%9f", "%.f", "%.3f", "%.6f", "%.9f"}
"""Codes in date formats: of those of chrono, with which Polars parses, the ones that the server reads too."""

ALWAYS = {"type", "role", "kind", "by"}
"""Fields to write even if they have their default, since people often edit them."""


def read_spec(path: Path) -> Spec:
    """Read the spec in a TOML file.

    Raises:
        PantheonError: the file does not exist, is not TOML, or a field is not valid; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise PantheonError(
            f"the spec {path} does not exist.", "`bin/pantheon run --data FILE --target COLUMN` writes one."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise PantheonError(f"the spec {path} cannot be read: {error}.") from None
    return parse_spec(text, str(path))


def parse_spec(text: str, path: str = "spec.toml") -> Spec:
    """Parse the spec in a TOML text; ``path`` is for messages. Raises the same errors as ``read_spec``."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PantheonError(f"{path} is not valid TOML: {error}.", "Correct that line.") from None
    return _Reader(path, text).spec(raw)


def check_spec(spec: Spec) -> None:
    """Raise PantheonError unless the fields of the spec are consistent with each other."""
    _Reader("the spec", "").check(spec)


class _Reader:
    """Convert parsed TOML into a Spec, with errors that name file, line and field."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()

    def line(self, table: str, index: int, key: str) -> str:
        """Return `` line N`` for a key in a table (the index-th of its name), or "" if it cannot be located."""
        header, seen, start = "", -1, 0
        for number, line in enumerate(self.lines, 1):
            line = line.strip()
            if line.startswith("["):
                header = line.split("#")[0].strip().strip("[] ")
                seen += header == table
                if header == table and seen == index:
                    start = number
            elif header == table and (not table or seen == index) and line.split("=")[0].strip(" \"'") == key:
                return f" line {number}"
        return f" line {start}" if start else ""

    def error(self, table: str, index: int, key: str, what: str) -> PantheonError:
        field_name = f"{table}.{key}" if table else key
        if table == "columns":
            field_name = f"columns[{index + 1}].{key}"
        line = self.line(table, index, key)
        return PantheonError(f"{self.path}{line}: {field_name} {what}.", "Correct the spec and run again.")

    def table(self, cls: Any, raw: Any, table: str, index: int = 0) -> Any:
        """Convert a TOML table to a dataclass; check the type of every field."""
        if not isinstance(raw, dict):
            raise self.error("", 0, table, "must be a table")
        known = {item.name: item for item in fields(cls)}
        for key in raw:
            if key not in known:
                raise self.error(table, index, key, f"is not a valid key; use one of {', '.join(known)}")
        values = {}
        for name, item in known.items():
            if name in raw:
                values[name] = self.value(raw[name], str(item.type), (table, index, name))
            elif item.default is MISSING and item.default_factory is MISSING:
                raise self.error(table, index, name, "is missing")
        return cls(**values)

    def value(self, raw: Any, kind: str, where: tuple[str, int, str]) -> Any:
        """Check a TOML value and convert it to the field's type."""
        if isinstance(raw, datetime | date):
            raw = raw.isoformat(" ") if isinstance(raw, datetime) else raw.isoformat()
        if isinstance(raw, float) and not math.isfinite(raw):
            raise self.error(*where, "must be a finite number")
        if kind.startswith("tuple"):
            texts = kind == "tuple[str, ...]"
            allowed: tuple[type, ...] = (str,) if texts else (bool, int, float, str)
            if not isinstance(raw, list) or not all(isinstance(item, allowed) for item in raw):
                raise self.error(*where, f"must be a list of {'texts' if texts else 'numbers, texts or true/false'}")
            return tuple(raw)
        if kind == "dict[str, float]":
            numbers = isinstance(raw, dict) and all(
                isinstance(item, int | float) and not isinstance(item, bool) and math.isfinite(item)
                for item in raw.values()
            )
            if not numbers:
                raise self.error(*where, 'must be a table of numbers, such as {"kg" = 1, "g" = 0.001}')
            return {text: float(item) for text, item in raw.items()}
        if kind.startswith("dict"):
            if not isinstance(raw, dict) or not all(isinstance(item, str) for item in raw.values()):
                raise self.error(*where, 'must be a table of texts, such as {"0" = "Bad Condition"}')
            return dict(raw)
        wanted: Mapping[str, tuple[tuple[type, ...], str]] = {
            "str": ((str,), "text"),
            "bool": ((bool,), "true or false"),
            "int": ((int,), "a whole number"),
            "float": ((int, float), "a number"),
            "float | str | None": ((int, float, str), "a number or a date"),
            "Value | None": ((bool, int, float, str), "a number, text or true/false"),
        }
        types, expected = wanted[kind]
        if not isinstance(raw, types) or (isinstance(raw, bool) and bool not in types):
            raise self.error(*where, f"must be {expected}, not {raw!r}")
        return raw

    def one_of(self, value: str, known: tuple[str, ...], where: tuple[str, int, str]) -> None:
        if value not in known:
            raise self.error(*where, f"must be one of {', '.join(known)}, not {value!r}")

    def spec(self, raw: dict[str, Any]) -> Spec:
        known = ("name", "description", "task", "source", "target", "split", "store", "columns")
        for key in raw:
            if key not in known:
                raise self.error("", 0, key, f"is not a valid key; use one of {', '.join(known)}")
        for key in ("name", "task", "source", "target", "columns"):
            if key not in raw:
                raise self.error("", 0, key, "is missing")
        if not isinstance(raw["columns"], list):
            raise self.error("", 0, "columns", "must be a list of tables, [[columns]]")
        spec = Spec(
            name=self.value(raw["name"], "str", ("", 0, "name")),
            description=self.value(raw.get("description", ""), "str", ("", 0, "description")),
            task=self.value(raw["task"], "str", ("", 0, "task")),
            source=self.table(Source, raw["source"], "source"),
            target=self.table(Target, raw["target"], "target"),
            split=self.table(Split, raw.get("split", {}), "split"),
            store=self.table(Store, raw.get("store", {}), "store"),
            columns=tuple(self.table(Column, item, "columns", index) for index, item in enumerate(raw["columns"])),
        )
        self.check(spec)
        return spec

    def check(self, spec: Spec) -> None:
        """Check that the fields are consistent with each other."""
        self.one_of(spec.task, TASKS, ("", 0, "task"))
        self.check_source(spec.source)
        if not spec.columns:
            raise self.error("", 0, "columns", "must not be empty")
        positions = {column.name: index for index, column in reversed(list(enumerate(spec.columns)))}
        for index, column in enumerate(spec.columns):
            if positions[column.name] != index:
                raise self.error("columns", index, "name", f"{column.name!r} appears twice")
        self.check_target(spec, positions)
        for index, column in enumerate(spec.columns):
            self.check_column(column, index)
        self.one_of(spec.split.by, SPLITS, ("split", 0, "by"))
        if spec.split.by == "time" and not spec.split.column:
            raise self.error("split", 0, "column", 'must name a column for by = "time"')
        if spec.split.column:
            if spec.split.column not in positions:
                raise self.error("split", 0, "column", f"names {spec.split.column!r}, which is not a column")
            column = spec.column(spec.split.column)
            if column.role in ("ignore", "target"):
                raise self.error("split", 0, "column", f"names {column.name!r}, whose role is {column.role}")
            if spec.split.by == "time" and column.type not in ("date", "number", "integer"):
                raise self.error("split", 0, "column", f"names {column.name!r}, a {column.type}, not a date or number")
        if mark := spec.split.train_only:
            column_of = spec.column(mark) if mark in positions else None
            if column_of is None or (column_of.type, column_of.role) != ("boolean", "ignore"):
                what = f'names {mark!r}, which is not a boolean column with role = "ignore"'
                raise self.error("split", 0, "train_only", what)
        if not spec.features:
            raise self.error("", 0, "columns", 'has no feature; give at least one column role = "feature"')

        for table, index, key, what in stored.faults(spec):
            raise self.error(table, index, key, what)

    def check_source(self, source: Source) -> None:
        self.one_of(source.kind, KINDS, ("source", 0, "kind"))
        needed = "path" if source.kind == "file" else "name"
        if not getattr(source, needed):
            raise self.error("source", 0, needed, f"is needed for kind = {source.kind!r}")
        if source.format:
            self.one_of(source.format, FORMATS, ("source", 0, "format"))
        for key in ("separator", "quote"):
            if len(getattr(source, key).encode()) != 1:
                raise self.error("source", 0, key, "must be one ASCII character")
        self.check_marks(source, "source", 0)
        try:
            "".encode(source.encoding)
        except LookupError:
            what = f"{source.encoding!r} is not supported; use utf-8, utf-16 or cp1252"
            raise self.error("source", 0, "encoding", what) from None
        if source.skip < 0:
            raise self.error("source", 0, "skip", "must be at least 0")
        if not 0 <= source.header_rows <= 3:
            raise self.error("source", 0, "header_rows", "must be 0 (no header) to 3")
        if source.rows < 1:
            raise self.error("source", 0, "rows", "must be at least 1")

    def check_marks(self, part: Source | Column, table: str, index: int) -> None:
        if part.decimal not in (".", ","):
            raise self.error(table, index, "decimal", 'must be "." or ","')
        if part.thousands == part.decimal or len(part.thousands) > 1 or part.thousands.isalnum():
            raise self.error(table, index, "thousands", "must be one mark, not the decimal one, or empty")

    def check_numbers(self, column: Column, index: int) -> None:
        """Check how numbers are written in a column."""
        if column.decimal:
            self.check_marks(column, "columns", index)
        elif column.thousands:
            raise self.error("columns", index, "thousands", "needs decimal, too")
        for form in column.forms:
            self.one_of(form, FORMS, ("columns", index, "forms"))
        for unit, factor in column.units.items():
            if not unit.strip() or unit != unit.strip() or unit[0].isdigit() or not factor:
                what = f"has {unit!r} = {factor:g}; a unit does not begin with a blank or digit, its factor is not 0"
                raise self.error("columns", index, "units", what)
        numbers = column.type in ("number", "integer") or column.role == "target"
        for key in ("decimal", "units", "forms"):
            if getattr(column, key) and not numbers:
                raise self.error("columns", index, key, f"cannot be used with type {column.type}")

    def check_dates(self, column: Column, index: int) -> None:
        """Check the date formats of a column: the server, which has another parser, reads the same codes."""
        for key in ("format", "formats"):
            for form in [column.format] if key == "format" else column.formats:
                codes = set(DATE_CODE.findall(form))
                if unknown := sorted(codes - DATE_CODES):
                    what = f"has {unknown[0]}, which is not supported; use codes such as %d.%m.%Y %H:%M:%S"
                    raise self.error("columns", index, key, what)
                hour, minute = codes & {"%H", "%I", "%T", "%R", "%+"}, codes & {"%M", "%T", "%R", "%+"}
                if form and (bool(hour) != bool(minute) or ("%I" in codes) != bool(codes & {"%p", "%P"})):
                    raise self.error("columns", index, key, f"is {form!r}, which lacks a part of the time of day")
                if form and not codes & {"%Y", "%y", "%F", "%D", "%+"}:
                    raise self.error("columns", index, key, f"is {form!r}, which has no year")

    def check_column(self, column: Column, index: int) -> None:
        self.check_numbers(column, index)
        if column.type == "date":
            self.check_dates(column, index)
        for key, known in (("type", TYPES), ("role", ROLES), ("unknown", UNKNOWN)):
            self.one_of(getattr(column, key), known, ("columns", index, key))
        for key in ("max_missing", "max_unreadable"):
            if not 0 <= getattr(column, key) <= 1:
                raise self.error("columns", index, key, "must be a share between 0 and 1")
        for key in ("min", "max"):
            bound = getattr(column, key)
            if bound is None:
                continue
            if column.type in ("boolean", "category"):
                raise self.error("columns", index, key, f"cannot be used with type {column.type}")
            if isinstance(bound, str) != (column.type == "date"):
                raise self.error("columns", index, key, f"must be a {'date' if column.type == 'date' else 'number'}")
            if isinstance(bound, str):
                try:
                    datetime.fromisoformat(bound)
                except ValueError:
                    what = f"must be a date such as 2024-03-01, not {bound!r}"
                    raise self.error("columns", index, key, what) from None
        if column.min is not None and column.max is not None and column.min > column.max:  # type: ignore[operator]
            raise self.error("columns", index, "min", "is above max")
        if len(set(column.categories)) < len(column.categories):
            raise self.error("columns", index, "categories", "contains a duplicate")
        if column.type == "category" and column.role == "feature" and not column.categories:
            raise self.error("columns", index, "categories", "must list the valid categories")
        if column.type == "boolean" and {t.lower() for t in column.true} & {t.lower() for t in column.false}:
            raise self.error("columns", index, "true", "shares a text with false")

    def check_target(self, spec: Spec, positions: dict[str, int]) -> None:
        target = spec.target
        if target.column not in positions:
            raise self.error("target", 0, "column", f"names {target.column!r}, which is not among the columns")
        for index, column in enumerate(spec.columns):
            if (column.role == "target") != (column.name == target.column):
                what = f"of {column.name!r} does not agree with target.column = {target.column!r}"
                raise self.error("columns", index, "role", what)
        if spec.task == "regression":
            if spec.column(target.column).type not in ("number", "integer"):
                raise self.error("columns", positions[target.column], "type", "must be number: task is regression")
            return
        if len(target.classes) < 2:
            raise self.error("target", 0, "classes", "must list at least two classes")
        for index, one in enumerate(target.classes):
            if any(same(one, other) for other in target.classes[:index]):
                raise self.error("target", 0, "classes", f"has {one!r} twice")
        if target.positive is not None and not any(same(target.positive, one) for one in target.classes):
            raise self.error("target", 0, "positive", f"is {target.positive!r}, which is not among the classes")
        keys = [label_key(one) for one in target.classes]
        for key in target.labels:
            if key not in keys:
                raise self.error(
                    "target", 0, "labels", f"has {key!r}, which is not among the classes {', '.join(keys)}"
                )


def dump_spec(spec: Spec) -> str:
    """Return the spec as TOML with comments for the person who edits it; ``parse_spec`` returns the same spec."""
    import tomlkit  # not in every environment, and needed only for writing

    document = tomlkit.document()
    for line in HEAD.splitlines():
        document.add(tomlkit.comment(line) if line else tomlkit.nl())
    document.add(tomlkit.nl())
    document.add("name", tomlkit.item(spec.name))
    if spec.description:
        document.add("description", tomlkit.item(spec.description))
    document.add("task", tomlkit.item(spec.task))
    document["task"].comment("or regression" if spec.task == "classification" else "or classification")
    for name in ("source", "target", "split"):
        document.add(name, _table(getattr(spec, name)))
    if spec.store != Store():
        document.add("store", _table(spec.store))
    columns = tomlkit.aot()
    for column in spec.columns:
        columns.append(_table(column))
    document.add("columns", columns)
    return tomlkit.dumps(document)


def with_source(text: str, source: Source) -> str:
    """Return the TOML of a spec with another source; everything else stays, also comments."""
    import tomlkit

    document = tomlkit.parse(text)
    document["source"] = _table(source)
    return tomlkit.dumps(document)


def _table(part: Source | Target | Split | Store | Column) -> Any:
    import tomlkit

    table = tomlkit.table()
    for item in fields(part):
        value = getattr(part, item.name)
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        if value is None or (value == default and type(value) is type(default) and item.name not in ALWAYS):
            continue
        if isinstance(value, dict):
            inline = tomlkit.inline_table()
            inline.update(value)
            table.add(item.name, inline)
        elif isinstance(value, tuple):
            array = tomlkit.array()
            array.extend(value)
            table.add(item.name, array.multiline(len(str(value)) > 100))
        else:
            table.add(item.name, tomlkit.item(value))
    return table
