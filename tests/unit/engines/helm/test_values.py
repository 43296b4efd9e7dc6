"""Values of the user's own: read, merged as Helm merges them, and what they need."""

from pathlib import Path

import pytest

from pantheon.engines.helm.values import merged, more_images, read
from pantheon.errors import PantheonError


def test_maps_are_merged_and_everything_else_is_replaced() -> None:
    chart = {"images": {"prefix": "pantheon/", "pullSecrets": ["a", "b"]}, "stopped": False}
    given = {"images": {"pullSecrets": ["c"]}}
    assert merged(chart, given) == {"images": {"prefix": "pantheon/", "pullSecrets": ["c"]}, "stopped": False}
    assert chart["images"] == {"prefix": "pantheon/", "pullSecrets": ["a", "b"]}, "unchanged"


@pytest.mark.parametrize(
    ("text", "cause"),
    [(None, "cannot be read: No such file or directory"), ("a: [", "cannot be read"), ("- a", "has no values")],
)
def test_a_file_without_values_is_refused(tmp_path: Path, text: str | None, cause: str) -> None:
    file = tmp_path / "values.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(PantheonError, match=cause):
        read(file)


def test_pods_of_airflows_tasks_have_an_image_of_their_own() -> None:
    (image,) = more_images({"airflow": {"executor": "KubernetesExecutor"}})
    assert image.startswith("pantheon/airflow-kubernetes:")
    assert more_images({"airflow": {"executor": "LocalExecutor"}}) == more_images({}) == []
