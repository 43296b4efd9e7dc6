"""Notebooks as jobs of the real JupyterLab: the same model as everywhere, and what happens when something is killed."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from pantheon.errors import PantheonError
from pantheon.files import read_json
from pantheon.jupyter import notebooks
from pantheon.jupyter.client import INTERRUPTED, run_notebook, wait
from pantheon.jupyter.graph import graph_of, stages_of
from pantheon.state import Route
from pantheon.workflow.graph import GRAPH
from pantheon.workflow.run import Run
from tests.support.jupyter import Lab
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)
NOTEBOOKS = graph_of(Route(rest="jupyter"))
ALL = graph_of(Route(models="s3"))


def agree(one: Any, other: Any, where: str = "") -> None:
    """Equal, floats to 1e-9."""
    if isinstance(one, float) and isinstance(other, float):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9), where
    elif isinstance(one, dict):
        assert set(one) == set(other), where
        for key in one:
            agree(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for place, (a, b) in enumerate(zip(one, other, strict=True)):
            agree(a, b, f"{where}[{place}]")
    else:
        assert one == other, where


WAITS = """
import time
from pathlib import Path
Path("{gate}.reached").touch()
while Path("{gate}").exists():
    time.sleep(0.05)
"""


class Gate:
    """A cell that says that it is reached, and then waits."""

    def __init__(self, folder: Path) -> None:
        self.path, self.mark = folder / "gate", folder / "gate.reached"
        self.path.touch()
        self.cell = WAITS.format(gate=self.path)

    def reached(self) -> bool:
        return self.mark.exists()


def pictures(path: Path) -> int:
    cells = json.loads(path.read_text())["cells"]
    return sum("image/png" in shown.get("data", {}) for cell in cells for shown in cell.get("outputs", []))


@pytest.fixture
def own(lab: Lab) -> Iterator[Lab]:
    """For tests that put a notebook of their own in the place of a shipped one."""
    yield lab
    (lab.state / "notebooks" / "feature_engineering.ipynb").unlink()
    assert notebooks.copy_shipped(lab.state).added == ["feature_engineering.ipynb"]


@pytest.fixture(scope="module")
def prepared(lab: Lab) -> Run:
    return lab.new_run()


def start(lab: Lab, run: Run) -> tuple[threading.Thread, list[str], list[BaseException]]:
    """``run_notebook`` of feature_engineering in a thread; its states and its error."""
    states: list[str] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            run_notebook(lab.jupyter, "feature_engineering", run.id, lab.state, 200, states.append)
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            errors.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    return thread, states, errors


def test_the_same_model_as_by_the_graph_runner(lab: Lab, through_jobs: Run, tmp_path: Path) -> None:
    other = lab.new_run(until="", state=tmp_path)
    lab.tasks(other, "run", "--run", other.id)
    agree(read_json(through_jobs.path("metrics.json")), read_json(other.path("metrics.json")))
    outcomes = [read_json(each.path("outcome.json")) for each in (through_jobs, other)]
    # PyCaret's tests may have deployed a model in the lab before, so version and reason can differ.
    assert outcomes[0]["decision"] == outcomes[1]["decision"] == "promoted"
    assert {record.state for record in through_jobs.records().values()} == {"done"}
    assert set(through_jobs.records()) == set(GRAPH)


def test_executed_copies_lie_with_the_run_and_show_pictures(lab: Lab, through_jobs: Run) -> None:
    for name in ALL:
        copy = through_jobs.path(f"notebooks/{name}.ipynb")
        assert pictures(copy) >= 1, name
        cells = [cell for cell in json.loads(copy.read_text())["cells"] if cell["cell_type"] == "code"]
        assert all(cell["execution_count"] for cell in cells)
        assert any(f'RUN = "{through_jobs.id}"' in "".join(cell["source"]) for cell in cells)
        assert not [shown for cell in cells for shown in cell["outputs"] if shown.get("name") == "stderr"]
    assert not list(through_jobs.path("notebooks").glob("*.failed.ipynb"))
    assert {path.stem for path in through_jobs.path("notebooks").glob("*.ipynb")} == set(ALL)


def test_the_interface_lists_the_jobs_with_their_outputs(lab: Lab, through_jobs: Run) -> None:
    jobs = lab.jupyter.get("/scheduler/jobs")["jobs"]
    mine = {job["name"]: job for job in jobs if job["name"].endswith(through_jobs.id)}
    assert set(mine) == {f"{name} {through_jobs.id}" for name in ALL}
    assert {job["status"] for job in mine.values()} == {"COMPLETED"}
    for job in mine.values():
        assert job["downloaded"]
        for file in job["job_files"]:
            assert (lab.state / "notebooks" / file["file_path"]).is_file()


def test_two_jobs_run_at_once(lab: Lab, through_jobs: Run) -> None:
    jobs = {
        job["name"].split()[0]: job
        for job in lab.jupyter.get("/scheduler/jobs")["jobs"]
        if through_jobs.id in job["name"]
    }
    one, two = jobs["model_selection"], jobs["hyperparameter_tuning"]
    assert max(one["start_time"], two["start_time"]) < min(one["end_time"], two["end_time"])


@pytest.mark.slow
def test_all_of_them_again_on_a_finished_run_change_nothing(lab: Lab, through_jobs: Run) -> None:
    """As somebody who opens them and runs every cell, publishing too."""
    keep = [path for path in through_jobs.folder.rglob("*") if path.is_file() and path.parent.name != "notebooks"]
    before = {path: path.read_bytes() for path in keep if not path.name.startswith(".")}
    versions = sorted((lab.state / "models").glob("robots/*/manifest.json"))

    def again(name: str) -> dict[str, Any]:
        parameters = {"RUN": through_jobs.id} | ({"DEPLOY": True} if name == "evaluate" else {})
        body: dict[str, Any] = {
            "name": f"by hand {name}",
            "input_uri": f"{name}.ipynb",
            "runtime_environment_name": "pantheon",
        }
        body["parameters"] = {key: repr(value) for key, value in parameters.items()}
        body["output_formats"] = ["ipynb", "html"] if name == "evaluate" else ["ipynb"]
        answer = lab.jupyter.ask("POST", "/scheduler/jobs", body)
        assert answer.status == 200
        return wait(lab.jupyter, answer.json()["job_id"], float("inf"), lambda state: None)

    with ThreadPoolExecutor(3) as pool:
        jobs = dict(zip(NOTEBOOKS, pool.map(again, NOTEBOOKS), strict=True))
    assert {name: job["status"] for name, job in jobs.items()} == dict.fromkeys(NOTEBOOKS, "COMPLETED")
    assert {path: path.read_bytes() for path in before} == before
    assert sorted((lab.state / "models").glob("robots/*/manifest.json")) == versions
    html = next(file["file_path"] for file in jobs["evaluate"]["job_files"] if file["file_format"] == "html")
    assert "promoted: robots, version" in (lab.state / "notebooks" / html).read_text()


def test_a_second_call_returns_the_copy_at_once(lab: Lab, through_jobs: Run) -> None:
    copy = through_jobs.path("notebooks/train.ipynb")
    before = copy.stat().st_mtime_ns
    assert run_notebook(lab.jupyter, "train", through_jobs.id, lab.state) == copy
    assert copy.stat().st_mtime_ns == before


def test_start_here_leads_from_a_file_to_a_model(lab: Lab) -> None:
    job_id = lab.jupyter.post("start_here", "start here", {"FILE": "churn.csv", "TRIALS": 1})  # type: ignore[dict-item]
    job = wait(lab.jupyter, job_id, float("inf"), lambda state: None)
    assert job["status"] == "COMPLETED", job["status_message"]
    copy = lab.state / "notebooks" / next(f["file_path"] for f in job["job_files"] if f["file_format"] == "ipynb")
    assert pictures(copy) == 2
    assert "not published: DEPLOY is False" in copy.read_text()
    run = Run.find(lab.state, "latest")
    assert run.record.dataset == "churn"
    assert read_json(run.path("metrics.json"))["task"] == "classification"
    assert not (lab.state / "models" / "churn").exists()


@pytest.mark.slow
def test_publishing_by_hand_passes_the_gate(lab: Lab) -> None:
    """A run of noise: the cell that publishes says that the gate refuses it, and nothing is published."""
    rows = "".join(f"{(i * 7919) % 101},{(i * 104729) % 97},{'ab'[(i * 15485863 // 7) % 2]}\n" for i in range(300))
    (lab.state / "data" / "noise.csv").write_text("one,two,answer\n" + rows)
    cells = (
        "from pantheon import notebook",
        'run = notebook.new_run(notebook.infer("noise.csv", "answer"), trials=1)',
        f"for name in {[stage for name in NOTEBOOKS for stage in stages_of(name)]}:\n    notebook.stage(run, name)",
        "notebook.deploy(run)",
    )
    lab.write("noise", *cells)
    job = wait(lab.jupyter, lab.jupyter.post("noise", "noise", {}), float("inf"), lambda state: None)
    assert job["status"] == "COMPLETED", job["status_message"]
    copy = lab.state / "notebooks" / next(f["file_path"] for f in job["job_files"] if f["file_format"] == "ipynb")
    assert "refused: noise" in copy.read_text()
    assert not list((lab.state / "models").glob("noise/*/manifest.json"))


def test_a_failing_cell_says_why_and_the_run_goes_on_from_there(own: Lab, prepared: Run) -> None:
    own.write("feature_engineering", "RUN = 0", 'raise ValueError("the moon is too far")')
    with pytest.raises(
        PantheonError, match=r"feature_engineering of run .* failed: ValueError: the moon is too far"
    ) as caught:
        run_notebook(own.jupyter, "feature_engineering", prepared.id, own.state, timeout=200)
    failed = prepared.path("notebooks/feature_engineering.failed.ipynb")
    assert f"runs/{prepared.id}/notebooks/{failed.name}" in str(caught.value)
    assert "the moon is too far" in failed.read_text()
    assert caught.value.status == 2, "another try would end alike"
    assert not prepared.path("notebooks/feature_engineering.ipynb").exists()


def test_a_stages_own_error_is_said_as_it_says_it(lab: Lab) -> None:
    empty = lab.new_run(until="")
    with pytest.raises(PantheonError) as caught:
        run_notebook(lab.jupyter, "feature_selection", empty.id, lab.state, timeout=200)
    said = f"feature_selection of run {empty.id} failed: features/preprocess.json is missing from run {empty.id}."
    assert said in str(caught.value)
    assert f"bin/pantheon stage preprocess --run {empty.id}" in str(caught.value)
    failed = empty.path("notebooks/feature_selection.failed.ipynb").read_text()
    assert "site-packages" not in failed, "a line, not a traceback"
    assert caught.value.status == 2


def test_what_may_pass_by_itself_is_worth_another_try(own: Lab, prepared: Run) -> None:
    away = ["from pantheon import notebook", "from pantheon.errors import PantheonError"]
    own.write("feature_engineering", "RUN = 0", *away, 'raise PantheonError("S3 is away.", status=1)')
    with pytest.raises(PantheonError, match=r"failed: S3 is away\.") as caught:
        run_notebook(own.jupyter, "feature_engineering", prepared.id, own.state, timeout=200)
    assert caught.value.status == 1


@pytest.mark.slow
@pytest.mark.parametrize("when", ["at work", "starting"])
def test_kill_9_of_the_kernel_is_a_clear_failure_and_can_be_repeated(own: Lab, tmp_path: Path, when: str) -> None:
    prepared, gate = own.new_run(), Gate(tmp_path)
    own.write("feature_engineering", "RUN = 0", gate.cell)
    thread, _, errors = start(own, prepared)
    if when == "at work":
        until(gate.reached)
    until(own.kernels)[0].kill()
    thread.join(60)
    assert len(errors) == 1
    assert "the kernel died: it was killed, or the machine ran out of memory" in str(errors[0])
    until(lambda: not own.kernels())
    (own.state / "notebooks" / "feature_engineering.ipynb").unlink()
    notebooks.copy_shipped(own.state)
    assert pictures(run_notebook(own.jupyter, "feature_engineering", prepared.id, own.state, timeout=200)) == 1
    assert not prepared.path("notebooks/feature_engineering.failed.ipynb").exists()


STAGE = 'from pantheon import notebook\nnotebook.stage(notebook.open_run(RUN), "feature_engineering")'


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["job", "jupyter"])
def test_kill_9_of_a_job_or_of_jupyter_is_noticed_and_the_job_done_anew(own: Lab, tmp_path: Path, victim: str) -> None:
    run = own.new_run()
    gate = Gate(tmp_path)
    own.write("feature_engineering", "RUN = 0", gate.cell, STAGE)
    thread, states, errors = start(own, run)
    until(gate.reached)
    old, before = own.kernels()[0], own.pid()
    (own.running("pantheon.jupyter.job")[0] if victim == "job" else psutil.Process(before)).kill()
    until(lambda: old.pid not in [each.pid for each in own.kernels()])  # nobody could reach it any more
    gate.path.unlink()
    thread.join(120)
    assert not errors
    assert states.count("IN_PROGRESS") == 2
    assert states[-1] == "COMPLETED"
    assert run.path("notebooks/feature_engineering.ipynb").exists()
    title = f"feature_engineering {run.id}"
    jobs = [job for job in own.jupyter.get("/scheduler/jobs")["jobs"] if job["name"] == title]
    assert sorted((job["status"], job.get("status_message")) for job in jobs) == [
        ("COMPLETED", None),
        ("FAILED", INTERRUPTED),
    ]
    assert (own.pid() == before) == (victim == "job")


def test_a_stopped_job_leaves_no_process_and_says_so(own: Lab, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    own.write("feature_engineering", "RUN = 0", gate.cell)
    job_id = own.jupyter.post("feature_engineering", "to be stopped", {})
    until(gate.reached)
    own.jupyter.stop(job_id)
    until(lambda: own.jupyter.job(job_id)["status"] == "STOPPED")
    until(lambda: not own.kernels() and not own.running("pantheon.jupyter.job"))


@pytest.mark.slow
def test_a_job_under_way_is_taken_over_and_too_long_a_one_is_stopped(own: Lab, tmp_path: Path) -> None:
    run = own.new_run()
    gate = Gate(tmp_path)
    own.write("feature_engineering", "RUN = 0", gate.cell, STAGE)
    with pytest.raises(PantheonError, match="did not finish in time and was stopped"):
        run_notebook(own.jupyter, "feature_engineering", run.id, own.state, timeout=3)
    until(lambda: not own.kernels())
    one, states, errors = start(own, run)
    until(lambda: "IN_PROGRESS" in states)
    two, others, more = start(own, run)  # as a task that is tried again while its first try's job goes on
    until(lambda: "IN_PROGRESS" in others)
    gate.path.unlink()
    one.join(60)
    two.join(60)
    assert not errors + more
    title = f"feature_engineering {run.id}"
    jobs = [job["status"] for job in own.jupyter.get("/scheduler/jobs")["jobs"] if job["name"] == title]
    assert sorted(jobs) == ["COMPLETED", "STOPPED"]


def test_notebooks_that_are_done_are_not_run_again(lab: Lab, through_jobs: Run) -> None:
    lab.route(Route(models="s3"))
    assert lab.run_graph(through_jobs) == []


@pytest.mark.slow
def test_a_notebook_that_fails_ends_the_graph_with_its_error(lab: Lab, own: Lab) -> None:
    run = lab.new_run()
    lab.route(Route(rest="jupyter"))
    own.write("feature_engineering", "RUN = ''", "raise ValueError('no such battery')")
    *events, error = lab.run_graph(run)
    assert [e["state"] for e in events if e["name"] == "feature_engineering"] == ["running", "failed"]
    assert not any(event["name"] == "train" for event in events), "it waits for the features"
    assert (error["event"], error["status"]) == ("error", 2)
    assert "no such battery" in error["cause"]
