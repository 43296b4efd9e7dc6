"""A component is data: a made-up one runs on the local engine without a change of any Python file."""

from pathlib import Path

from tests.support import lantern
from tests.support.command_line import make_pantheon


def test_a_made_up_component_runs_as_a_process(tmp_path: Path) -> None:
    made = make_pantheon(tmp_path / "home")
    made.settings["PANTHEON_TIERS"] = str(lantern.TIERS)
    try:
        lantern.prove(made, "local")
    finally:
        made("destroy", "--confirm", "yes")
