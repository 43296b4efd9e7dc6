"""``predict-file``: predict the rows of a file in a task of the workflow, and write them to a file of this machine.

The file is sent to the task, which reads it as a file of ``DATA=`` and checks its values as those of requests. Files
appear under their names when they are complete; until then, they are temporary files beside them.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon import terminal
from pantheon.deployment.datasets import check_readable
from pantheon.deployment.sent_files import Part, divide, new_file, refused_beside
from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.errors import PantheonError

FORMS = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".pq": "parquet", ".xlsx": "xlsx"}
STEP = "predicting"


@dataclass(frozen=True)
class Asked:
    """What the user asked for.

    Attributes:
        input, output: paths as they were typed.
        model: its name.
        version: a number or an alias.
        probabilities: whether to add the probability of each class.
        header: "none" if no line of the file names the columns.
        overwrite: whether to replace existing files.
    """

    input: str
    output: str
    model: str
    version: str = "champion"
    probabilities: bool = False
    header: str = ""
    overwrite: bool = False

    @property
    def target(self) -> Path:
        return Path(self.output).expanduser()

    @property
    def refused(self) -> Path:
        """The file of the rows that cannot be predicted: ``out.refused.csv`` beside ``out.csv``."""
        return refused_beside(self.target)


def check(asked: Asked) -> Path:
    """Return the file to read.

    Raises:
        PantheonError: it cannot be read, or the output cannot be written.
    """
    file = Path(asked.input).expanduser()
    check_readable(file, asked.input, "Use a CSV, Parquet or Excel file.")
    target, suffix = asked.target, asked.target.suffix.lower()
    if asked.header not in ("", "none"):
        raise PantheonError(f"--header {asked.header} is not valid.", "Use --header none, or leave it out.")
    if suffix not in FORMS:
        cure = f"End its name in {', '.join(FORMS)}."
        raise PantheonError(f"{asked.output}: the format of the output is not known.", cure)
    if not target.parent.is_dir():
        cure = f"Create it: `mkdir -p {shlex.quote(str(target.parent))}`"
        raise PantheonError(f"the folder {target.parent} does not exist.", cure)
    for path in (target, asked.refused):
        if path.is_dir():
            raise PantheonError(f"{path} is a folder.", "Choose another name for the output.")
        if path.exists() and path.samefile(file):
            raise PantheonError(f"{path} is the input.", "Choose another name for the output.")
        if path.exists() and not asked.overwrite:
            raise PantheonError(f"{path} exists.", "Choose another name, or replace it: --overwrite")
    return file


def predict(engine: Engine, asked: Asked) -> dict[str, Any]:
    """Predict the rows of a file.

    Returns:
        ``{"model", "version", "output", "rows", "predicted", "refused", "refused_file", "first", "notes"}``:
        ``refused`` is how many rows could not be predicted, ``first`` is ``[[number of the row, why]]`` of the first
        ones, ``refused_file`` has them all (None: there are none), ``output`` is None if no row was predicted.

    Raises:
        PantheonError: the file cannot be predicted; nothing was written.
        KeyboardInterrupt: nothing was written.
    """
    file = check(asked)
    engine.prepare(["workflow"])
    now = file.stat()
    arguments = ["--model", asked.model, "--version", asked.version, "--file", file.name, f"--called={asked.input}"]
    arguments += ["--size", str(now.st_size), "--form", FORMS[asked.target.suffix.lower()]]
    arguments += [*(["--header", asked.header] if asked.header else []), *_flag(asked.probabilities)]
    made: dict[str, Any] = {}
    with terminal.steps() as steps, new_file(asked.target) as part:
        steps.start(STEP)

        def on_event(event: dict[str, Any]) -> None:
            if event["event"] == "rows":
                steps.note(STEP, f"{event['done']:,} of {event['of']:,} rows")
            made.update(event)

        try:
            Task(engine, "serving.batch")(arguments, on_event, input=file, output=part.file.fileno())
            deliver(asked, part, made)
        except BaseException:
            steps.end(STEP, "failed")
            raise
        rows = f"{made['predicted']:,} of {made['rows']:,} rows"
        steps.end(STEP, note=f"{rows}, {made['model']} version {made['version']}")
    return {
        **{name: made[name] for name in ("model", "version", "rows", "predicted", "refused", "first", "notes")},
        "output": str(asked.target) if made["predicted"] else None,
        "refused_file": str(asked.refused) if made["refused"] else None,
    }


def _flag(probabilities: bool) -> list[str]:
    return ["--probabilities"] if probabilities else []


def deliver(asked: Asked, part: Part, made: dict[str, Any]) -> None:
    """Give both files their names; the task wrote them one after the other to ``part``."""
    size, more = int(made["bytes"]), int(made["refused_bytes"])
    with new_file(asked.refused) as refused:
        divide(part, size, more, refused)
        for each, target, bytes_ in ((refused, asked.refused, more), (part, asked.target, size)):
            if bytes_:
                each.place(target, asked.overwrite)
            elif asked.overwrite:
                target.unlink(missing_ok=True)  # of an earlier call
