"""One JupyterLab, shared by the tests of this folder."""

from collections.abc import Iterator

import pytest

from pantheon.engines.local import environments
from pantheon.files import read_json
from pantheon.jupyter.graph import graph_of
from pantheon.state import Route
from pantheon.workflow.run import Run
from tests.support.command_line import assert_nothing_left
from tests.support.jupyter import Lab
from tests.support.ports import free_port_offset


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    environments.make(["workflow", "jupyter"])
    made = Lab(tmp_path_factory.mktemp("lab"), free_port_offset((8888,)))
    made.up()
    yield made
    made.engine().down()
    assert_nothing_left(made.folder)


@pytest.fixture(scope="package")
def through_jobs(lab: Lab) -> Run:
    """A run whose stages after the ETL were done by notebooks, as the command line runs them; then deploy."""
    run = lab.new_run()
    lab.route(Route(models="s3"))  # the one with every notebook
    events = lab.run_graph(run)
    lab.route(Route())
    assert [event["state"] for event in events if event["name"] == "train"] == ["running", "done"]
    assert {event["name"] for event in events} == set(graph_of(Route(models="s3")))
    lab.tasks(run, "run", "--run", run.id)
    assert read_json(run.path("outcome.json"))["decision"] == "promoted"
    return run
