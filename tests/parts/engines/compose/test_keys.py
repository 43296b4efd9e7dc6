"""Every key of the compose model that the tiers use is checked in a container (tests/system/compose/climb)."""

from typing import Any

from pantheon.engines import Options
from pantheon.engines.compose.engine import ComposeEngine
from pantheon.engines.definition import keys
from pantheon.tiers import ROOT, all_tiers
from tests.support.compose_keys import HONOURED

# A service with profiles has no container of its own: tests/system/compose/test_persephone.py runs tasks in it.
# For `deploy`, a service is replaced: tests/parts/engines/test_replacing.py.
ELSEWHERE = {"deploy", "profiles"}


def test_every_key_that_the_tiers_use_is_in_the_table_and_checked(tmp_path: Any) -> None:
    for tier in (tier for tier in all_tiers() if tier.built):
        model = ComposeEngine(Options("test", tmp_path, tier.compose_file, ROOT)).resolved()
        used = {key for service in model.services.values() for key in service if not key.startswith("x-")}
        assert used <= set(HONOURED) | ELSEWHERE, tier.name
        assert used <= {**keys.SUPPORTED, **keys.IGNORED}.keys(), (
            "the local engine must not reject keys that the tiers use"
        )
