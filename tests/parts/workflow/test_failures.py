"""However the code of an extension ends the process, or whatever it prints: one sentence, and no false success."""

import json
import shutil
from pathlib import Path

import pytest

from pantheon.workflow.run import Params, Run
from tests.support import ROOT
from tests.support.worker import Answer, work

FEATURE = """
import ctypes, os, sys, threading, time
from pantheon.workflow.extensions import feature

@feature("mine")
def mine(columns):
    {}
    return columns["alcohol"] + 1
"""
UNTIL = "feature_engineering"


@pytest.fixture(scope="module")
def preprocessed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    state = tmp_path_factory.mktemp("deployment")
    for name in ("state", "extensions"):
        (state / name).mkdir()
    spec = (ROOT / "datasets" / "wine.toml").read_text()
    run = Run.create(state, spec, "wine", Params(trials=1), tier="persephone", runner="script")
    assert work(state, "run", "--run", run.id, "--until", "preprocess").error is None
    return run


@pytest.fixture
def run(preprocessed: Run, tmp_path: Path) -> Run:
    """A run that is done up to ``preprocess``."""
    shutil.copytree(preprocessed.state, tmp_path, dirs_exist_ok=True)
    return Run.find(tmp_path, preprocessed.id)


def with_feature(run: Run, line: str, **environment: str) -> Answer:
    (run.extensions / "mine.py").write_text(FEATURE.format(line))
    return work(run.state, "run", "--run", run.id, "--until", UNTIL, **environment)


ENDS = {
    "sys.exit()": ("mine.py, line 7: the feature 'mine' fails: the code called sys.exit().", "Correct the file"),
    "sys.exit(0)": ("mine.py, line 7: the feature 'mine' fails: the code called sys.exit(0).", "Correct the file"),
    "os._exit(0)": ("ended during feature_engineering before it was finished: its code called os._exit(0)", "--resume"),
    "os._exit(3)": ("ended during feature_engineering before it was finished: its code called os._exit(3)", "--resume"),
    "os.abort()": ("crashed during feature_engineering (SIGABRT)", "--resume"),
    "ctypes.string_at(0)": ("crashed during feature_engineering (SIGSEGV)", "--resume"),
    "os.kill(os.getpid(), 9)": ("was killed during feature_engineering (SIGKILL)", "--resume"),
    "mine(columns)": ("mine.py, line 7: the feature 'mine' fails: RecursionError", "Correct the file"),
    "os.closerange(0, 1024)": ("", ""),
    "bytearray(1 << 40)": ("mine.py, line 7: the workflow ran out of memory: it may use", "WORKFLOW_MEMORY="),
}


@pytest.mark.parametrize("line", ENDS)
def test_code_that_ends_the_process_is_a_failure_with_one_sentence(run: Run, line: str) -> None:
    answer = with_feature(run, line)
    assert answer.error, "no false success"
    says, cure = ENDS[line]
    assert says in answer.error.cause
    assert cure in answer.error.cure
    assert "Traceback" not in answer.message
    assert run.records()[UNTIL].state != "done"


HARMLESS = {
    "prints our events": """print('{"event": "error", "cause": "no", "cure": "no", "status": 2}', flush=True)""",
    "writes our events": """os.write(1, b'{"event": "end"}\\n{"event": "outcome", "decision": "promoted"}\\n')""",
    "prints numbers": "print(1, None, '[', '\\x00', flush=True)",
    "closes standard output": "sys.stdout.close(); os.close(1)",
    "closes standard error": "sys.stderr.close(); os.close(2)",
    "starts a thread that never ends": "threading.Thread(target=time.sleep, args=(1e6,)).start()",
    "starts a process that never ends": "os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '1')",
    "registers a function that never ends": "import atexit; atexit.register(time.sleep, 1e6)",
}


@pytest.mark.parametrize("what", HARMLESS)
def test_what_code_prints_or_leaves_behind_does_not_change_the_result(run: Run, what: str) -> None:
    answer = with_feature(run, HARMLESS[what])
    assert answer.error is None
    assert [event["event"] for event in answer.events].count("outcome") == 0
    assert answer.events[-1] == {"event": "until", "run": run.id, "stage": UNTIL}
    if "our events" in what:
        assert any(json.loads(line)["event"] for line in answer.printed if line.startswith("{")), "it is in the log"


def test_code_that_exits_while_its_file_is_read_or_its_model_is_fitted(run: Run) -> None:
    (run.extensions / "mine.py").write_text("import sys\nsys.exit('bye')\n")
    answer = work(run.state, "run", "--run", run.id, "--until", UNTIL)
    assert "mine.py, line 2: the code called sys.exit('bye')." in answer.message
    (run.extensions / "mine.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n"
        "from pantheon.workflow.extensions import candidate\n"
        "class Mine(LogisticRegression):\n"
        "    def fit(self, X, y):\n"
        "        raise SystemExit(0)\n"
        "@candidate('mine')\n"
        "def mine(seed):\n"
        "    return Mine()\n"
    )
    answer = work(run.state, "run", "--run", run.id)
    assert "mine.py, line 5: the candidate 'mine' cannot be fitted: the code called sys.exit(0)." in answer.message
    assert run.outcome is None


def test_a_fault_of_a_stage_is_one_sentence_and_its_traceback_is_in_the_log(run: Run) -> None:
    run.path("features/train.npz").write_bytes(b"damaged")
    answer = work(run.state, "run", "--run", run.id)
    assert answer.error
    assert answer.message.count("\n") == 0
    assert "--service workflow" in answer.error.cure
    assert any(line.startswith("Traceback") for line in answer.printed)
