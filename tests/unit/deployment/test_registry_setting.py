"""``REGISTRY=`` is checked before anything is built."""

import pytest

from pantheon.deployment.settings import registry
from pantheon.errors import PantheonError


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ("registry.example.com/team/", "registry.example.com/team"),
        ("localhost:5000", "localhost:5000"),
        ("docker.io/ada", "docker.io/ada"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/ml", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ml"),
        ("[::1]:5000/team", "[::1]:5000/team"),
        ("none", ""),
    ],
)
def test_a_registry_is_a_host_and_folders(given: str, parsed: str) -> None:
    assert registry(given) == parsed


@pytest.mark.parametrize(
    ("given", "cure"),
    [
        ("https://registry.example.com/team", "Leave out the protocol: REGISTRY=registry.example.com/team."),
        ("registry.example.com/Team", "in lower case"),
        ("registry.example.com/team:v1", "without a tag"),
        ("my registry", "Give a host and a folder"),
        ("registry.example.com//team", "Give a host and a folder"),
    ],
)
def test_what_is_not_a_registry_is_refused(given: str, cure: str) -> None:
    with pytest.raises(PantheonError, match="is not a registry") as error:
        registry(given)
    assert cure in error.value.cure
