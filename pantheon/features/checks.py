"""Expectations: whether rows are in the range of each field, and few enough are missing."""

from datetime import datetime

import duckdb

from pantheon.features.contract import EVENT, Check, View
from pantheon.features.duck import name


def check(connection: duckdb.DuckDBPyConnection, rows: str, view: View, now: datetime) -> list[Check]:
    """Check rows against the expectations of their view.

    Args:
        rows: a table, or SQL in parentheses, with the view's columns.

    Returns:
        One entry for each expectation, in the order of the fields.
    """
    wanted = [f for f in view.fields if not f.minimum is f.maximum is f.max_missing is None]
    figures = [f"count(*), epoch(max({name(EVENT)}))"]
    for field in wanted:
        column = name(field.name)
        value = f"epoch({column})" if field.type == "date" else column
        numbers = f"min({value}), max({value})" if field.type in ("number", "integer", "date") else "NULL, NULL"
        figures.append(f"count({column}), {numbers}")
    row = connection.execute(f"SELECT {', '.join(figures)} FROM {rows}").fetchone()
    if row is None or not row[0]:
        return []
    total, newest = row[:2]
    found = []
    for place, field in enumerate(wanted):
        count, low, high = row[2 + 3 * place : 5 + 3 * place]
        if field.minimum is not None:
            ok = low is None or low >= field.minimum
            found.append(Check(field=field.name, check="minimum", ok=ok, value=low, expected=field.minimum))
        if field.maximum is not None:
            ok = high is None or high <= field.maximum
            found.append(Check(field=field.name, check="maximum", ok=ok, value=high, expected=field.maximum))
        if field.max_missing is not None:
            share = 1 - count / total
            ok = share <= field.max_missing
            found.append(Check(field=field.name, check="max_missing", ok=ok, value=share, expected=field.max_missing))
    if view.freshness_seconds:
        age = max(0.0, now.timestamp() - newest)
        ok = age <= view.freshness_seconds
        found.append(Check(field="", check="freshness", ok=ok, value=age, expected=view.freshness_seconds))
    return found
