"""The split: entities are not divided, class proportions are kept, and the rows are the same in every run."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

from pantheon.workflow.data.spec_file import read_spec
from pantheon.workflow.run import Run
from tests.support import DATASETS
from tests.support.data import parts


def test_the_result_does_not_depend_on_threads(new_run: Callable[..., Run]) -> None:
    """Same rows in the same order with one thread, two and four; and one thread is enough to get through."""
    spec = read_spec(DATASETS / "robots.toml")
    spec = replace(spec, source=replace(spec.source, rows=250_000))
    result = []
    for threads in (1, 2, 4):
        run = new_run(spec)
        code = "import sys, pathlib; from pantheon.workflow.run import Run; run = Run(pathlib.Path(sys.argv[1]))\n"
        for stage in ("load_data", "clean_data", "split_data"):
            code += f"from pantheon.workflow.stages.{stage} import {stage}; {stage}(run)\n"
        environment = os.environ | {"POLARS_MAX_THREADS": str(threads)}
        subprocess.run([sys.executable, "-c", code, str(run.folder)], env=environment, check=True, timeout=60)
        result.append(parts(run))
    for train, test in result[1:]:
        assert train.equals(result[0][0])
        assert test.equals(result[0][1])
