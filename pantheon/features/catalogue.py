"""The catalogue: what every feature view has, how fresh and how well it is, and what uses it.

A view is described by its definition and by its parts. The figures of the parts are computed when somebody asks, and
kept in memory until the view has other parts or fields.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from pantheon.features import quality
from pantheon.features.contract import CREATED, EVENT, Chosen, View
from pantheon.features.distributions import distribution

PARTS: Final = 50  # of a view that are listed, the newest ones


class Catalogue:
    """Describes views; thread-safe, because computed figures are only ever replaced as a whole."""

    def __init__(self) -> None:
        self._figures: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._fields: dict[str, tuple[Any, dict[str, Any]]] = {}

    def listed(
        self, views: Sequence[View], services: Iterable[Chosen], parts: Mapping[str, Sequence[Path]], now: datetime
    ) -> list[dict[str, Any]]:
        """Return a summary of every view, by name.

        Args:
            parts: the files of each view, oldest first.
        """
        chosen = list(services)
        return [self.summary(view, chosen, parts.get(view.name, ()), now) for view in sorted(views, key=_name)]

    def summary(self, view: View, services: Iterable[Chosen], paths: Sequence[Path], now: datetime) -> dict[str, Any]:
        """Return the summary of a view.

        Returns:
            The view's definition without its fields and code, and ``columns`` (those of the fields), ``owners`` (of the
            view, and of fields that have another one), ``rows``, ``entities``, ``parts_count``, ``newest`` (the newest
            event time, ISO 8601, or None), ``age_seconds``, ``fresh`` (None: nothing is expected), ``failed`` (the
            checks of the newest part that failed), ``services`` (``[{"name", "set", "run", "features"}]``) and
            ``example`` (``{"entity", "time"}`` of the newest row, or None).
        """
        figures = self._known(self._figures, view, paths, _figures)
        newest = figures["newest"]
        age = (now - newest).total_seconds() if newest else None
        fresh = None if not view.freshness_seconds or age is None else age <= view.freshness_seconds
        failed = [msgspec.to_builtins(check) for check in figures["checks"] if not check.ok]
        defined = msgspec.to_builtins(view)
        fields, _ = defined.pop("fields"), defined.pop("code")
        return {
            **defined,
            "columns": [field["column"] for field in fields],
            "owners": sorted({owner for each in (defined, *fields) if (owner := each["owner"])}),
            "rows": figures["rows"],
            "entities": figures["entities"],
            "parts_count": len(paths),
            "newest": iso(newest),
            "age_seconds": age,
            "fresh": fresh,
            "failed": failed,
            "services": _services(view, services),
            "example": {"entity": figures["example"], "time": iso(newest)} if figures["example"] else None,
        }

    def described(
        self,
        view: View,
        views: Iterable[View],
        services: Iterable[Chosen],
        paths: Sequence[Path],
        now: datetime,
    ) -> dict[str, Any]:
        """Return all about a view.

        Returns:
            The summary, ``code``, and ``fields`` (their definition, ``missing``, ``distribution``, ``checks``),
            ``lineage`` (``{"of", "feeds"}``, names of views) and ``parts`` (``[{"name", "rows", "bytes", "at", "run",
            "failed"}]``, newest first, where ``failed`` counts checks; None: unknown).
        """
        found = self.summary(view, services, paths, now)
        figures, known = (
            self._known(self._figures, view, paths, _figures),
            views if isinstance(views, list) else [*views],
        )
        computed = self._known(self._fields, view, paths, _fields)
        fields = []
        for field in view.fields:
            checks = [msgspec.to_builtins(check) for check in figures["checks"] if check.field == field.name]
            fields.append({**msgspec.to_builtins(field), **computed[field.name], "checks": checks})
        lineage = {
            "of": sorted(other.name for other in known if computed_from(view, other)),
            "feeds": sorted(other.name for other in known if computed_from(other, view)),
        }
        parts = [part(path) for path in reversed(paths[-PARTS:])]
        return {**found, "code": msgspec.to_builtins(view.code), "fields": fields, "lineage": lineage, "parts": parts}

    def _known(self, cache: dict[str, Any], view: View, paths: Sequence[Path], compute: Any) -> dict[str, Any]:
        stamp = *((field.name, field.type) for field in view.fields), *(path.name for path in paths)
        known = cache.get(view.name)
        if known is None or known[0] != stamp:
            known = cache[view.name] = stamp, compute(view, paths)
        figures: dict[str, Any] = known[1]
        return figures


def part(path: Path) -> dict[str, Any]:
    """Return what a part says about itself."""
    said = quality.kept(path)
    rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
    failed = sum(not check.ok for check in said.checks) if said.checks is not None else None
    return {
        "name": path.name,
        "rows": rows,
        "bytes": path.stat().st_size,
        "at": said.written,
        "run": said.run,
        "failed": failed,
    }


def computed_from(view: View, other: View) -> bool:
    """Return whether ``view`` is computed from the columns of ``other``."""
    needed = {column for field in view.fields for column in field.of}
    raw = view.kind == "engineered" and other.kind == "raw" and view.set == other.set
    return raw and needed <= {field.column for field in other.fields}


def scan(view: View, paths: Sequence[Path]) -> pl.LazyFrame:
    """Return the rows of a view; fields that a part does not have are null, and others are left out."""
    moment = pl.Datetime("us", "UTC")
    kinds = {
        "number": pl.Float64(),
        "integer": pl.Int64(),
        "text": pl.String(),
        "boolean": pl.Boolean(),
        "date": moment,
    }
    schema = {view.key: pl.String(), EVENT: moment, CREATED: moment}
    schema |= {field.name: kinds[field.type] for field in view.fields}
    if not paths:
        return pl.LazyFrame(schema=schema)
    return pl.scan_parquet(list(paths), schema=schema, missing_columns="insert", extra_columns="ignore")


def _services(view: View, services: Iterable[Chosen]) -> list[dict[str, Any]]:
    found = []
    for service in services:
        names = [name for of, _, name in (each.partition(":") for each in service.features) if of == view.name]
        if names:
            found.append({"name": service.name, "set": service.set, "run": service.run, "features": names})
    return found


def _figures(view: View, paths: Sequence[Path]) -> dict[str, Any]:
    rows = scan(view, paths)
    counted = rows.select(
        pl.len().alias("rows"), pl.col(view.key).n_unique().alias("ids"), pl.col(EVENT).max()
    ).collect()
    newest = counted[EVENT].item()
    example = None
    if newest is not None and view.entity:
        example = rows.filter(pl.col(EVENT) == newest).select(pl.col(view.key).last()).collect().item()
    checks = (quality.kept(paths[-1]).checks or ()) if paths else ()
    found: dict[str, Any] = {"rows": counted["rows"].item(), "newest": newest, "example": example, "checks": checks}
    return {**found, "entities": counted["ids"].item() if view.entity else None}


def _fields(view: View, paths: Sequence[Path]) -> dict[str, Any]:
    rows, found = scan(view, paths), dict[str, Any]()
    for field in view.fields:  # one after another: a few columns of millions of rows in memory at a time
        values = rows.select(pl.col(field.name)).collect().to_series()
        missing = quality.missing_in(values) / len(values) if len(values) else None
        found[field.name] = {"missing": missing, "distribution": distribution(values, field.type)}
    return found


def iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


def _name(view: View) -> str:
    return view.name
