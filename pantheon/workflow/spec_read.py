"""Parsed TOML into a `Spec`, with errors that name file, line and field."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import date, datetime
from typing import Any

from pantheon.errors import PantheonError
from pantheon.workflow.spec import (
    FORMATS,
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
    Target,
    label_key,
    same,
)


class Reader:
    """Turns parsed TOML into a Spec, with errors that name file, line and field."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()

    def line(self, table: str, index: int, key: str) -> str:
        """`` line N`` of a key in a table (the index-th of its name), as well as the text tells."""
        header, seen, found = "", -1, 0
        for number, line in enumerate(self.lines, 1):
            line = line.strip()
            if line.startswith("["):
                header = line.split("#")[0].strip().strip("[] ")
                seen += header == table
                if header == table and seen == index:
                    found = number
            elif header == table and (not table or seen == index) and line.split("=")[0].strip(" \"'") == key:
                return f" line {number}"
        return f" line {found}" if found else ""

    def error(self, table: str, index: int, key: str, what: str) -> PantheonError:
        field_name = f"{table}.{key}" if table else key
        if table == "columns":
            field_name = f"columns[{index + 1}].{key}"
        line = self.line(table, index, key)
        return PantheonError(f"{self.path}{line}: {field_name} {what}.", "Correct the spec and run again.")

    def table(self, cls: Any, raw: Any, table: str, index: int = 0) -> Any:
        """One dataclass from one TOML table, every field checked for its type."""
        if not isinstance(raw, dict):
            raise self.error("", 0, table, "must be a table")
        known = {item.name: item for item in fields(cls)}
        for key in raw:
            if key not in known:
                raise self.error(table, index, key, f"is not known; known here: {', '.join(known)}")
        values = {}
        for name, item in known.items():
            if name in raw:
                values[name] = self.value(raw[name], str(item.type), (table, index, name))
            elif item.default is MISSING and item.default_factory is MISSING:
                raise self.error(table, index, name, "is missing")
        return cls(**values)

    def value(self, raw: Any, kind: str, where: tuple[str, int, str]) -> Any:
        """A TOML value as the field's type asks for it."""
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
        if kind.startswith("dict"):
            if not isinstance(raw, dict) or not all(isinstance(item, str) for item in raw.values()):
                raise self.error(*where, 'must be a table of texts, such as {"0" = "Bad Condition"}')
            return dict(raw)
        wanted: Mapping[str, tuple[tuple[type, ...], str]] = {
            "str": ((str,), "a text"),
            "bool": ((bool,), "true or false"),
            "int": ((int,), "a whole number"),
            "float": ((int, float), "a number"),
            "float | str | None": ((int, float, str), "a number or a date"),
            "Value | None": ((bool, int, float, str), "a number, a text or true/false"),
        }
        types, words = wanted[kind]
        if not isinstance(raw, types) or (isinstance(raw, bool) and bool not in types):
            raise self.error(*where, f"must be {words}, not {raw!r}")
        return raw

    def one_of(self, value: str, known: tuple[str, ...], where: tuple[str, int, str]) -> None:
        if value not in known:
            raise self.error(*where, f"must be one of {', '.join(known)}, not {value!r}")

    def spec(self, raw: dict[str, Any]) -> Spec:
        known = ("name", "description", "task", "source", "target", "split", "columns")
        for key in raw:
            if key not in known:
                raise self.error("", 0, key, f"is not known; known here: {', '.join(known)}")
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
            columns=tuple(self.table(Column, item, "columns", index) for index, item in enumerate(raw["columns"])),
        )
        self.check(spec)
        return spec

    def check(self, spec: Spec) -> None:
        """What single fields cannot tell: that they fit together."""
        self.one_of(spec.task, TASKS, ("", 0, "task"))
        self.check_source(spec.source)
        if not spec.columns:
            raise self.error("", 0, "columns", "must not be empty")
        places = {column.name: index for index, column in reversed(list(enumerate(spec.columns)))}
        for index, column in enumerate(spec.columns):
            if places[column.name] != index:
                raise self.error("columns", index, "name", f"{column.name!r} stands there twice")
        self.check_target(spec, places)
        for index, column in enumerate(spec.columns):
            self.check_column(column, index)
        self.one_of(spec.split.by, SPLITS, ("split", 0, "by"))
        if spec.split.by == "time" and not spec.split.column:
            raise self.error("split", 0, "column", 'must name a column for by = "time"')
        if spec.split.column:
            if spec.split.column not in places:
                raise self.error("split", 0, "column", f"names {spec.split.column!r}, which is not a column")
            column = spec.column(spec.split.column)
            if column.role in ("ignore", "target"):
                raise self.error("split", 0, "column", f"names {column.name!r}, whose role is {column.role}")
            if spec.split.by == "time" and column.type not in ("date", "number", "integer"):
                raise self.error("split", 0, "column", f"names {column.name!r}, a {column.type}, not a date or number")
        if not spec.features:
            raise self.error("", 0, "columns", 'has no feature; give at least one column role = "feature"')

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
        if source.decimal not in (".", ","):
            raise self.error("source", 0, "decimal", 'must be "." or ","')
        if source.thousands == source.decimal or len(source.thousands) > 1 or source.thousands.isalnum():
            raise self.error("source", 0, "thousands", "must be one mark, not the decimal one, or empty")
        try:
            "".encode(source.encoding)
        except LookupError:
            what = f"is not known: {source.encoding!r}; use utf-8, utf-16 or cp1252"
            raise self.error("source", 0, "encoding", what) from None
        if source.rows < 1:
            raise self.error("source", 0, "rows", "must be at least 1")

    def check_column(self, column: Column, index: int) -> None:
        for key, known in (("type", TYPES), ("role", ROLES), ("unknown", UNKNOWN)):
            self.one_of(getattr(column, key), known, ("columns", index, key))
        for key in ("max_missing", "max_unreadable"):
            if not 0 <= getattr(column, key) <= 1:
                raise self.error("columns", index, key, "is a share, 0 to 1")
        for key in ("min", "max"):
            bound = getattr(column, key)
            if bound is None:
                continue
            if column.type in ("boolean", "category"):
                raise self.error("columns", index, key, f"has no meaning for a {column.type}")
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
            raise self.error("columns", index, "categories", "has one twice")
        if column.type == "category" and column.role == "feature" and not column.categories:
            raise self.error("columns", index, "categories", "must list what is known")
        if column.type == "boolean" and {t.lower() for t in column.true} & {t.lower() for t in column.false}:
            raise self.error("columns", index, "true", "shares a text with false")

    def check_target(self, spec: Spec, places: dict[str, int]) -> None:
        target = spec.target
        if target.column not in places:
            raise self.error("target", 0, "column", f"names {target.column!r}, which is not among the columns")
        for index, column in enumerate(spec.columns):
            if (column.role == "target") != (column.name == target.column):
                what = f"of {column.name!r} does not agree with target.column = {target.column!r}"
                raise self.error("columns", index, "role", what)
        if spec.task == "regression":
            if target.classes:
                raise self.error("target", 0, "classes", "belong to a classification, and task is regression")
            if spec.column(target.column).type not in ("number", "integer"):
                raise self.error("columns", places[target.column], "type", "must be number: task is regression")
            return
        if len(target.classes) < 2:
            raise self.error("target", 0, "classes", "must list two or more")
        for index, one in enumerate(target.classes):
            if any(same(one, other) for other in target.classes[:index]):
                raise self.error("target", 0, "classes", f"has {one!r} twice")
        if target.positive is not None and not any(same(target.positive, one) for one in target.classes):
            raise self.error("target", 0, "positive", f"is {target.positive!r}, which is not among the classes")
        keys = [label_key(one) for one in target.classes]
        for key in target.labels:
            if key not in keys:
                raise self.error("target", 0, "labels", f"has {key!r}, which is no class; those are {', '.join(keys)}")
