"""One deployment that grows from the first tier to the last, shared by the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.support.climb import (
    BUILT,
    DATASETS_OF,
    OWN,
    Climb,
    Load,
    Rung,
    ask,
    checksums,
    grow,
    judge,
    pids,
    play,
    run_all,
    versions,
)
from tests.support.command_line import assert_nothing_left, make_pantheon


@pytest.fixture(scope="package")
def climb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Climb]:
    made = make_pantheon(tmp_path_factory.mktemp("climb"), TRIALS="1")
    load = Load(made.page)
    rungs: dict[str, Rung] = {}
    try:
        made("up", BUILT[0])  # a first model, to ask
        with load:
            for tier in BUILT:
                before, running, models = checksums(made.state), pids(made), versions(made)
                said = grow(made, tier)
                services = made("status", "--json").json["services"]
                after = checksums(made.state), (running, pids(made)), (models, versions(made))
                rung = rungs[tier] = Rung(tier, said, services, before, *after)
                if any(service["name"] == "endpoint" for service in services):
                    rung.judged = judge(made)
                ask(made, rung, "grown")
                asked = {data: ["--data", data] for data in DATASETS_OF[tier]}
                if tier == BUILT[0]:
                    asked["churn"] = ["--data", OWN["data"], "--target", OWN["target"]]
                if tier == BUILT[-1]:
                    rung.played = play(made, "diabetes")
                    asked["diabetes"] = ["--resume", rung.played]  # followed from the terminal
                rung.runs = run_all(made, asked)
                ask(made, rung, "run")
                made("models", "rollback", "--model", "robots")
                if any(service["name"] == "hub" for service in services):
                    rung.password = made("users", "add", "ann", "--json").json["password"]
                ask(made, rung, "rolled back")
        yield Climb(made, rungs, load)
    finally:
        if (made.state / "state" / "deployment.json").exists():
            made("down")
    assert_nothing_left(made.home)
