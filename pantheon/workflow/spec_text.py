"""A `Spec` as TOML for people: only what differs from the defaults, and comments that say what may be changed."""

from dataclasses import MISSING, fields
from typing import Any

import tomlkit

from pantheon.workflow.spec import Column, Source, Spec, Split, Target

HEAD = """What this dataset is, and the contract its data is held to. Change what was taken wrongly, then run again.

type   number, integer, boolean, category or date
role   feature: the model sees it · target · entity: all rows of one stay together in the split · time · ignore
A cell that cannot be read as its type, is below min or above max, or is a category not listed here is unreadable.
Unreadable cells become missing; a share of them above max_unreadable (0.01 where not given) stops the run.
A share of missing cells above max_missing (0.5 where not given) stops the run.
Rows without a target, or without a feature that is not nullable, are left out.
unknown = "other" lets a category be one that is not listed; "refuse" (where not given) does not."""

ALWAYS = {"type", "role", "kind", "by"}
"""Fields to write even where they have their default, since people look for them."""


def dump(spec: Spec) -> str:
    document = tomlkit.document()
    for line in HEAD.splitlines():
        document.add(tomlkit.comment(line) if line else tomlkit.nl())
    document.add(tomlkit.nl())
    document.add("name", tomlkit.item(spec.name))
    if spec.description:
        document.add("description", tomlkit.item(spec.description))
    document.add("task", tomlkit.item(spec.task))
    document["task"].comment("or regression" if spec.task == "classification" else "or classification")
    document.add("source", _table(spec.source))
    document.add("target", _table(spec.target))
    document.add("split", _table(spec.split))
    columns = tomlkit.aot()
    for column in spec.columns:
        columns.append(_table(column))
    document.add("columns", columns)
    return tomlkit.dumps(document)


def _table(part: Source | Target | Split | Column) -> Any:
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
