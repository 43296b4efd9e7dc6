"""The endpoint's health and gauges, for people and for Prometheus."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.features.joining import Online
from serving.inference.access import Keys
from serving.inference.journal import Journal
from serving.inference.metrics import Labels
from serving.inference.models import Models

if TYPE_CHECKING:
    from serving.inference.kserve import Kserve

_PAGE_BYTES = 4096

Gauges = Mapping[str, tuple[str, Iterable[tuple[Labels, float]]]]


def is_ready(models: Models) -> bool:
    """Return whether there is a model, and every model with a champion can answer."""
    return bool(models.hosted) and all(hosted.predictor for hosted in models.hosted.values())


def health(
    models: Models, keys: Keys, journal: Journal, kserve: "Kserve | None" = None, online: Online | None = None
) -> dict[str, Any]:
    """Return the value of ``/healthz``, which needs no key."""
    elsewhere: dict[str, Any] = {}
    if kserve:
        elsewhere["kserve"] = {"address": kserve.address, "problem": kserve.problem or None}
    if online and any(each.features for hosted in models.hosted.values() for each in hosted.loaded.values()):
        valkey = online.valkey
        elsewhere["features"] = {"address": f"{valkey.host}:{valkey.port}", "problem": valkey.problem or None}
    return {
        "status": "ok",
        "ready": is_ready(models),
        "default": models.default or None,
        "models": [
            {
                "model": hosted.name,
                "version": hosted.serving or None,
                "since": hosted.predictor.since if hosted.predictor else None,
                "loaded": sorted(hosted.loaded, key=int),
                "refused": dict(hosted.refused),
                "problems": list(hosted.chooser.problems),
                "policy": hosted.policy.token if hosted.policy else None,
            }
            for _, hosted in sorted(models.hosted.items())
        ],
        "keys": len(keys.ring),
        "problem": keys.problem or None,
        "log": {"mode": journal.mode, "bytes": journal.size, "most_bytes": journal.most},
        **elsewhere,
    }


def gauges(models: Models, keys: Keys, journal: Journal) -> Gauges:
    """Return the values of the metrics at present; for ``Metrics.text``."""
    serving = [((("model", each.name), ("version", each.serving)), 1.0) for each in models.hosted.values()]
    loaded = [((("model", each.name),), float(len(each.loaded))) for each in models.hosted.values()]
    refused = [((("model", each.name),), float(len(each.refused))) for each in models.hosted.values()]
    return {
        "pantheon_serving": ("The version of each model that answers by default.", serving),
        "pantheon_versions_loaded": ("Versions that aliases and policies name, and that can answer.", loaded),
        "pantheon_versions_refused": ("Versions that cannot be loaded.", refused),
        "pantheon_spool_bytes": ("Records that are not stored yet.", [((), float(journal.size))]),
        "pantheon_spool_most_bytes": ("The largest size of the spool.", [((), float(journal.most))]),
        "pantheon_keys": ("API keys.", [((), float(len(keys.ring)))]),
        "process_resident_memory_bytes": ("Memory of this process.", [((), float(_resident()))]),
    }


def _resident() -> int:
    """Return this process's memory in bytes; 0 where Linux does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
