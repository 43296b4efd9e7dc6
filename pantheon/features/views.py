"""The views of a dataset: names, fields, expectations and lineage, from its spec and its engineered features."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

from pantheon.features.contract import Field, View, is_reserved, slug
from pantheon.features.rows import Shape
from pantheon.workflow.data.spec import Column, Spec
from pantheon.workflow.expressions import COMPARISONS
from pantheon.workflow.outputs import Feature, Tree

TYPES = {"number": "number", "integer": "integer", "boolean": "boolean", "category": "text", "date": "date"}
SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "less": "<", "less_equal": "<=", "greater": ">"}
SIGNS |= {"greater_equal": ">=", "equal": "==", "not_equal": "!="}
NONE: Mapping[str, Sequence[str]] = MappingProxyType({})


def views(
    spec: Spec,
    shape: Shape,
    features: Sequence[Feature] = (),
    *,
    owner: str = "",
    run: str = "",
    ttl_seconds: float = 0,
) -> list[View]:
    """Return the raw view of a dataset and, if there are engineered features, the view of those.

    Args:
        shape: how its rows are found.
        features: as feature_engineering wrote them.
        owner: who makes them.
        run: the run that does.
        ttl_seconds: from this age on, values are expired; 0: never.
    """
    name = slug(spec.name)
    found = [
        View(
            name=name,
            set=spec.name,
            kind="raw",
            key=shape.key,
            fields=_raw_fields(spec, shape),
            entity=shape.entity,
            time=shape.time,
            ttl_seconds=ttl_seconds,
            owner=owner,
            description=spec.description or f"The columns of {spec.name}",
            run=run,
        )
    ]
    if features:
        fields = _engineered_fields(spec, shape, features)
        whose = f" of each {shape.entity}" if shape.entity else ""
        engineered = View(
            name=f"{name}_engineered_{code_hash(spec, features)}",
            set=spec.name,
            kind="engineered",
            key=shape.key,
            fields=fields,
            entity=shape.entity,
            time=shape.time,
            ttl_seconds=ttl_seconds,
            owner=owner,
            description=f"Features computed from the columns of {spec.name}{whose}",
            run=run,
        )
        found.append(engineered)
    return found


def references(views: Iterable[View]) -> dict[str, str]:
    """Return how a feature service names each feature, such as ``robots:robot_age``, by its column."""
    return {field.column: f"{view.name}:{field.name}" for view in views for field in view.fields}


def code_hash(spec: Spec, features: Sequence[Feature]) -> str:
    """Return 8 characters that differ if a feature is computed differently: by its code, or the categories it reads."""
    code = []
    for feature in sorted(features, key=lambda feature: feature["name"]):
        categories = {name: spec.column(name).categories for name in feature["of"]}
        code.append([feature["name"], feature["expression"], {name: c for name, c in categories.items() if c}])
    return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()[:8]


def _raw_fields(spec: Spec, shape: Shape) -> list[Field]:
    own = [column for column in spec.features if not column.stored]
    names = field_names([column.name for column in own], shape.key)
    return [
        Field(
            name=names[column.name],
            column=column.name,
            type=TYPES[column.type],
            description=column.description,
            minimum=_bound(column, column.min),
            maximum=_bound(column, column.max),
            max_missing=column.max_missing,
        )
        for column in own
    ]


def _bound(column: Column, value: float | str | None) -> float | None:
    """Return a bound in the spec as a number: of a date, seconds since 1970."""
    if value is None or column.type in ("category", "boolean"):
        return None
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(value) if math.isfinite(value) else None


def _engineered_fields(spec: Spec, shape: Shape, features: Sequence[Feature]) -> list[Field]:
    names = field_names([feature["name"] for feature in features], shape.key)
    categories = {column.name: column.categories for column in spec.features if column.type == "category"}
    return [
        Field(
            name=names[feature["name"]],
            column=feature["name"],
            type="number",
            description=feature["why"],
            expression=readable(feature["expression"], categories),
            of=list(feature["of"]),
            owner=feature.get("owner", ""),
        )
        for feature in features
    ]


def field_names(columns: Iterable[str], key: str) -> dict[str, str]:
    """Return the field of each column: its slug, made unique with _2 …; DuckDB does not distinguish upper case."""
    taken = {key.lower()}
    found = {}
    for column in columns:
        name, number = slug(column), 1
        while name.lower() in taken or is_reserved(name):
            number += 1
            name = f"{slug(column)}_{number}"
        taken.add(name.lower())
        found[column] = name
    return found


def readable(tree: Tree, categories: Mapping[str, Sequence[str]] = NONE) -> str:
    """Return an expression as text, such as ``log1p(maximum("robot-age", 0))`` or ``"battery" == 'low'``.

    Args:
        categories: of the columns that have some; in a tree, their places stand for them.
    """
    text = _readable(tree, categories)
    return text[1:-1] if tree[0] in SIGNS else text


def _readable(tree: Tree, categories: Mapping[str, Sequence[str]]) -> str:
    op, *parts = tree
    if op == "column":
        return json.dumps(parts[0], ensure_ascii=False)
    if op == "number":
        return f"{parts[0]:.15g}"
    texts = [_category(part, other, categories) or _readable(part, categories) for part, other in _beside(op, parts)]
    if op in SIGNS:
        return f"({texts[0]} {SIGNS[op]} {texts[1]})"
    return f"-{texts[0]}" if op == "neg" else f"{op}({', '.join(texts)})"


def _beside(op: str, parts: Sequence[Tree]) -> list[tuple[Tree, Tree]]:
    """Return each part with the one that it is compared with; empty: with none."""
    return list(zip(parts, reversed(parts), strict=True)) if op in COMPARISONS else [(part, []) for part in parts]


def _category(part: Tree, other: Tree, categories: Mapping[str, Sequence[str]]) -> str:
    """Return the category that a number stands for beside a column; empty: it is only a number."""
    if part[0] != "number" or other[:1] != ["column"]:
        return ""
    names, place = categories.get(other[1], ()), part[1]
    return repr(names[int(place)]) if place in range(len(names)) else ""
