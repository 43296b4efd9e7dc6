"""Which images are saved for a machine without network access."""

import pytest

from pantheon.deployment.image_sets import named
from pantheon.errors import PantheonError


def test_images_that_no_tier_needs_by_default_can_be_named() -> None:
    found = [image.partition(":")[0] for image in named("boosting, tensorflow,kserve,jupyter-pycaret")]
    assert found == [f"pantheon/{name}" for name in ("boosting", "tensorflow", "kserve", "jupyter-pycaret")]
    assert named("") == []
    with pytest.raises(PantheonError, match="there is no image 'keras'") as error:
        named("boosting,keras")
    assert "tensorflow" in error.value.cure
