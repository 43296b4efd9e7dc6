"""``feast delete`` of what models use is refused, and names them."""

import pytest

from pantheon.errors import PantheonError
from pantheon.features import launch
from pantheon.features.contract import Chosen, Field, View
from pantheon.features.deleting import refuse_used
from pantheon.store import Alias, Version

AGE = Field(name="age", column="robot-age", type="number")
RAW = View(name="robots", set="robots", kind="raw", key="robot_id", entity="robot-id", time="seen", fields=[AGE])
MADE = View(
    name="robots_made",
    set="robots",
    kind="engineered",
    key="robot_id",
    entity="robot-id",
    time="seen",
    fields=[Field(name="square", column="square", type="number", of=["robot-age"])],
)
OTHER = View(name="pumps", set="pumps", kind="raw", key="pump_id", entity="pump", time="", fields=[AGE])
SERVICES = [
    Chosen(name="robots_1", set="robots", features=["robots_made:square"], run="run-1"),
    Chosen(name="robots_2", set="robots", features=["robots_made:square"], run="run-2"),
    Chosen(name="pumps_1", set="pumps", features=["pumps:age"], run="run-3"),
]


class Models:
    """A store with one version, which ``run-1`` made."""

    def list(self, name: str) -> list[Version]:
        made = Version("robots", "3", "2026-01-01T00:00:00+00:00", {}, {"run": "run-1"})
        return [made] if name == "robots" else []

    def alias(self, name: str, alias: str = "champion") -> Alias | None:
        return Alias("3", "2026-01-01T00:00:00+00:00") if alias == "champion" else None


@pytest.mark.parametrize("name", ["robots_1", "robots_made", "robots", "robot_id"])
def test_what_a_model_reads_and_what_that_is_made_of_stay(name: str) -> None:
    with pytest.raises(PantheonError, match=r"cannot be deleted.*version 3 of robots \(champion\)") as refused:
        refuse_used(name, [RAW, MADE, OTHER], SERVICES, Models())
    assert "models gc" in refused.value.cure


@pytest.mark.parametrize("name", ["robots_2", "pumps", "pump_id", "pumps_1", "temperature"])
def test_what_no_version_reads_can_be_deleted(name: str) -> None:
    refuse_used(name, [RAW, MADE, OTHER], SERVICES, Models())


def test_commands_are_known_among_options() -> None:
    assert launch.words_of(["-c", "folder", "--log-level", "INFO", "delete", "robots"]) == ["delete", "robots"]
    assert launch.words_of(["projects", "delete", "-y", "pantheon"]) == ["projects", "delete", "pantheon"]
    assert launch.words_of(["--help"]) == []
    with pytest.raises(PantheonError, match="feast projects delete"):
        launch.refuse("projects", ["delete", "pantheon"])
    launch.refuse("projects", ["list"])
