"""The parts of a measurement that can be wrong without a deployment: statistics, texts of /proc, what is kept."""

from pathlib import Path

import pytest

from pantheon.compare import facts, kills, load, plan, usage
from pantheon.compare.kills import Run
from pantheon.compare.plan import Cell, Data
from pantheon.compare.work import Work
from pantheon.deployment.calling import isolated
from pantheon.errors import PantheonError
from pantheon.tiers import find


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert [load.quantile(range(1, 101), q) for q in (0.5, 0.99, 1.0)] == [51, 100, 100]
    assert load.quantile([], 0.5) == 0


def test_an_answer_is_complete_with_its_body() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    assert [load.complete(part) for part in (b"HTTP/1.1 200 OK\r\n", head + b"tru", head + b"true")] == [
        None,
        None,
        200,
    ]


def test_listening_sockets_are_read_from_proc() -> None:
    line = "   0: {} 00000000:0000 {} 00000000:00000000 00:00000000 00000000  1000        0 {} 1 0000000000000000"
    text = "\n".join(
        [
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            line.format("0100007F:1F90", "0A", 11),
            line.format("00000000:1F91", "0A", 12),
            line.format("0100007F:1F92", "01", 13),  # a connection
        ]
    )
    assert usage.listening(text) == [(8080, "11", False), (8081, "12", True)]


def test_lines_are_counted_without_comments() -> None:
    assert facts.counted("# why\n\nservices:\n  # x\n  a: 1\n") == 2


def test_a_failed_run_counts_for_the_last_service_killed_before_it_failed() -> None:
    runs = [Run(0.0, 12.0, "the task was killed"), Run(12.0, 30.0)]
    killed = [1.0, 10.0, 20.0]
    spans = [(1.0, 5.0), (10.0, 15.0), (20.0, 22.0)]
    found = [kills.run_of(begin, end, killed, runs) for begin, end in spans]
    assert found == ["failed after another kill", "failed: the task was killed", "went on"]


def test_a_service_is_killed_in_the_first_tier_that_has_it_or_in_all() -> None:
    tiers = [find("persephone"), find("zeus")]
    added, every = (plan.cells(tiers, ["local", "compose"], Data(), kills=which) for which in ("added", "all"))
    assert [each.before for each in added] == [None, tiers[0]] * 2
    assert [each.before for each in every] == [None] * 4
    assert added[0].fingerprint == every[0].fingerprint, "the first tier is measured in the same way"
    assert added[1].fingerprint != every[1].fingerprint
    with pytest.raises(PantheonError, match="KILLS=some"):
        plan.cells(tiers, ["local"], Data(), kills="some")


def test_what_is_lost_is_named() -> None:
    assert kills.lost({"version": {"1", "2"}, "run": {"a"}}, {"version": {"1"}, "run": {"a", "b"}}) == ["version 2"]


def test_nothing_of_the_users_deployment_reaches_the_comparison() -> None:
    mine = {
        "PATH": "/bin", "DOCKER_HOST": "unix:///d", "PANTHEON_CA": "ca.pem", "PANTHEON_NAME": "mine",
        "AIRFLOW_PORT": "1", "S3_ENDPOINT_URL": "https://s3", "AWS_SECRET_ACCESS_KEY": "x",
    }  # fmt: skip
    home = {"PANTHEON_HOME": "/work"}
    assert isolated(mine, Path("/work")) == {"PATH": "/bin", "DOCKER_HOST": "unix:///d", "PANTHEON_CA": "ca.pem"} | home


def test_a_finished_cell_is_kept_until_what_it_depends_on_changes(tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.cells.mkdir()
    cell, other = Cell(find("zeus"), "local", Data()), Cell(find("zeus"), "local", Data("wine"))
    assert work.kept(cell) is None
    work.keep(cell, {"services": 8})
    assert work.kept(cell) == {"services": 8}
    assert work.kept(other) is None, "other data"
    work.file(cell).write_text("{")
    assert work.kept(cell) is None, "damaged"


def test_tiers_and_engines_are_chosen_by_name_in_their_order() -> None:
    assert [tier.name for tier in plan.chosen_tiers("zeus, persephone")] == ["persephone", "zeus"]
    assert {tier.name for tier in plan.chosen_tiers("")} >= {"persephone", "kraken"}
    with pytest.raises(PantheonError, match="Did you mean zeus"):
        plan.chosen_tiers("zeuss")
    with pytest.raises(PantheonError, match="there is no engine 'swarm'"):
        plan.chosen_engines("swarm")
