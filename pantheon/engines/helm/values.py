"""The chart's values for a deployment: what its settings, its folder and its images say."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from pantheon.engines.compose.images import OURS, image_of
from pantheon.errors import PantheonError
from pantheon.state import Settings, published_file, store_file

PARAMETERS = ("dataset", "approval", "trials", "seed", "folds", "metric")
GIVEN = ("schedule", "log", "predictions_keep", "monitor", "monitor_report", "materialize", "retrain", "alerts_leave")
S3_KEYS = "pantheon-s3"  # the Secret with the keys of another S3
Values = dict[str, Any]


def tier_values(definition: Path) -> Path:
    """Return the values file of the tier that a compose file defines.

    Raises:
        PantheonError: the tier has none.
    """
    path = definition.parent / "values.yaml"
    if not path.is_file():
        raise PantheonError(
            f"The Helm chart does not have what {definition.parent.name.partition('-')[2]} adds.",
            "Use ENGINE=compose or ENGINE=local for this tier.",
        )
    return path


def read(path: Path) -> Values:
    """Return the values of a file.

    Raises:
        PantheonError: it cannot be read, or is not a YAML map.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise PantheonError(f"The values file {path} cannot be read: {why}.", "Name a YAML file: VALUES=….") from None
    if not isinstance(found, dict):
        raise PantheonError(f"{path} has no values of the chart.", "See helm/pantheon/README.md.")
    return found


def merged(*every: Values) -> Values:
    """Return values as Helm merges them: later ones replace earlier ones, maps are merged."""
    result: Values = {}
    for given in every:
        for key, value in given.items():
            old = result.get(key)
            result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def more_images(given: Values) -> list[str]:
    """Return images that pods need only because of the user's values."""
    pods = (given.get("airflow") or {}).get("executor") == "KubernetesExecutor"
    return [image_of("airflow-kubernetes")] if pods else []


def variant_of(definition: Path) -> str:
    """Return the variant that a compose file defines: ``kserve`` of ``compose.kserve.yaml``; empty for none."""
    return "".join(definition.name.split(".")[1:-1])


def make(
    state: Path,
    settings: Settings,
    chart: Values,
    without: Collection[str],
    variant: str,
    images: Mapping[str, str],
    others: Mapping[str, str],
) -> Values:
    """Return the values in addition to those of the tier.

    Args:
        state: the deployment's folder, whose files services read.
        chart: the chart's default values.
        without: components that are left out.
        images: the names of our images in the compose files → their names for the cluster.
        others: the key of another image in the chart's ``images`` → its name for the cluster.

    Raises:
        PantheonError: our images are not in one place.
    """
    prefix, tags = _ours(images)
    chosen = {key: getattr(settings, key) for key in (*PARAMETERS, *GIVEN)}
    published = {path.name: path for path in (published_file(state), store_file(state))}
    texts = {name: path.read_text(encoding="utf-8") for name, path in published.items() if path.is_file()}
    values: Values = {
        "portOffset": settings.port_offset,
        "settings": {key: value for key, value in chosen.items() if value is not None} | {"files": texts},
        "images": {"tags": tags, **({"prefix": prefix} if tags else {}), **others},
    }
    if variant:
        values[variant] = {"enabled": True}
    for name in without:
        if name != "s3" and "enabled" in (chart.get(name) or {}):
            values[name] = {"enabled": False}
    if settings.s3:
        endpoint = settings.s3.endpoint or "aws"
        values["s3"] = {
            "external": {
                "endpoint": endpoint,
                "bucket": settings.s3.bucket,
                "region": settings.s3.region,
                "existingSecret": S3_KEYS,
            }
        }
    elif "s3" in without:
        values["s3"] = {"enabled": False}
    return values


def _ours(images: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return what comes before the names of our images, and their tags."""
    prefixes, tags = set[str](), {}
    for image, there in images.items():
        name = image.removeprefix(OURS).partition(":")[0]
        match = re.fullmatch(rf"(.*?){re.escape(name)}:([\w][\w.-]*)", there)
        if not match:
            raise PantheonError(f"The chart cannot use an image called {there}.", f"Call it PREFIX{name}:TAG.", 1)
        prefixes.add(match[1])
        tags[name] = match[2]
    if len(prefixes) > 1:
        raise PantheonError(f"Images are in different places: {', '.join(sorted(prefixes))}.", "Use one registry.", 1)
    return next(iter(prefixes), ""), tags


def dump(values: Values) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
