"""What runs inside the workflow's environment: ``python -m pantheon.tasks VERB``.

Every engine starts these as one-offs of the ``workflow`` service: the same in a process, a container and a pod.
Events go to standard output, one JSON object a line; the command line draws its progress from them. The state
folder is ``STATE_DIR``.
"""

import argparse
import json
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from pantheon import versioning
from pantheon.errors import PantheonError
from pantheon.versioning.record import interrupt as interrupt_recording
from pantheon.workflow import graph
from pantheon.workflow.run import Params, Run, read_json, write_json

SIGNALS = {signal.SIGINT, signal.SIGTERM}
PATIENCE = 7.0  # seconds to take a recording back after Ctrl-C; engines kill after ten
_print = threading.Lock()


def report(event: dict[str, Any]) -> None:
    """One event to whoever started us; stages in two threads never mix their lines."""
    with _print:
        print(json.dumps(event), flush=True)


def state_folder() -> Path:
    folder = os.environ.get("STATE_DIR")
    if not folder or not Path(folder).is_dir():
        raise PantheonError(
            "STATE_DIR does not name a deployment's state folder.", "Start with `make tier-persephone up`."
        )
    return Path(folder)


def open_store(state: Path) -> Any:
    """The deployment's model store, wherever that is now: a folder, or S3."""
    from pantheon import store

    return store.open_store(state)


def fix_threads(params: Params) -> None:
    """Before any numeric library is imported: the same number of threads everywhere adds floats in the same order."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[name] = str(params.threads)
    # OpenMP's threads wait for each other by spinning: on a busy machine that takes many times as long as the work. A
    # short spin costs 4 % of the default's speed on an idle machine, none at all 75 % (tuning on 100,000 rows).
    os.environ["GOMP_SPINCOUNT"] = "1000"


def infer(args: argparse.Namespace) -> None:
    """Work out the spec of a user's file and write it to ``data/NAME.toml``."""
    from pantheon.workflow.infer import infer_spec
    from pantheon.workflow.run import atomic

    spec = infer_spec(Path(args.file), args.target, args.name)
    with atomic(Path(args.out)) as part:
        part.write_text(spec.dump(), encoding="utf-8")
    columns = [{"name": c.name, "type": c.type, "role": c.role, "why": c.why} for c in spec.columns]
    report({"event": "spec", "task": spec.task, "target": spec.target.column, "path": args.out, "columns": columns})


def run(args: argparse.Namespace) -> None:
    """A new run, or the rest of one that was interrupted or failed."""
    state = state_folder()
    if args.run:
        current = Run.find(state, args.run)
    else:
        spec = Path(args.spec).read_text(encoding="utf-8")
        params = Params.read(json.loads(args.params))
        current = Run.create(state, spec, args.dataset, params, tier=args.tier, runner=args.runner)
    asked = current.asked
    fix_threads(current.params)
    report({"event": "run", "run": current.id, "dataset": asked["dataset"], "runner": asked["runner"]})
    graph.wanted(args.until)
    with graph.exclusive(current):
        tidy(current)
        in_thread(lambda: whole(current, args.until), current)
    if args.until:
        report({"event": "until", "run": current.id, "stage": args.until})
    else:
        report({"event": "outcome", "run": current.id, **read_json(current.path("outcome.json"))})


def whole(current: Run, until: str) -> None:
    """The run's stages by its runner; where DVC is there, the run is recorded before its model is published."""
    runner, store = graph.RUNNERS[current.asked["runner"]], open_store(current.state)
    if until in ("", "deploy") and versioning.enabled(current.state):
        for name in graph.GRAPH["deploy"]:
            runner(current, store, report, name)
        versioning.step(current, report)
    runner(current, store, report, until)


def here(name: str) -> None:
    """One stage in the working directory, a repository: what the commands of dvc.yaml are."""
    from pantheon.versioning.workspace import Workspace

    current = Workspace(Path.cwd())
    fix_threads(current.params)
    print(current.repeat(name), flush=True)


def prepare_versions(args: argparse.Namespace) -> None:
    """The deployment's repository, made where there is none."""
    report({"event": "versions", "path": str(versioning.prepare(state_folder()))})


def checkout(args: argparse.Namespace) -> None:
    """A version's parameters, spec and data back, in a repository of their own."""
    state = state_folder()
    report({"event": "checkout", **versioning.checkout(state, open_store(state), args.model, args.version)})


def stage(args: argparse.Namespace) -> None:
    """One stage of a run that is there, or that ``--create`` makes; with ``--here``, of the repository we are in."""
    if args.here:
        here(args.name)
        return
    state = state_folder()
    current = ensured(state, args.run, args.create) if args.create else Run.find(state, args.run)
    fix_threads(current.params)

    def work() -> None:
        if args.name == "deploy":
            versioning.step(current, report)
        graph.run_single(args.name, current, open_store(state), report)

    in_thread(work, current, [args.name])


def ensured(state: Path, name: str, text: str) -> Run:
    """The run ``name`` as ``text`` asks for it, a JSON object: ``{"dataset", "params", "tier", "runner"}``."""
    try:
        asked = json.loads(text)
        unknown = set(asked) - {"dataset", "params", "tier", "runner"}
        dataset, params = asked["dataset"], asked.get("params", {})
    except (ValueError, TypeError, KeyError):
        raise PantheonError("--create is not as it should be.", 'Such as {"dataset": "robots", "params": {}}') from None
    if unknown or not isinstance(dataset, str) or not isinstance(params, dict):
        raise PantheonError(
            f"--create has an unknown key or a wrong type: {text[:200]}", "Known: dataset, params, tier, runner."
        )
    spec = spec_of(state, dataset).read_text(encoding="utf-8")
    tier, runner = str(asked.get("tier", "")), str(asked.get("runner", "graph"))
    if runner not in graph.RUNNERS:
        raise PantheonError(f"there is no runner {runner!r}.", f"Known: {', '.join(graph.RUNNERS)}.")
    return Run.ensure(state, name, spec, dataset, Params.read(params), tier, runner)


def spec_of(state: Path, dataset: str) -> Path:
    """The spec of a dataset by its name: the deployment's own (an edited one included), else one that ships with us.

    Raises:
        PantheonError: there is none; names those there are.
    """
    shipped = Path(__file__).resolve().parent.parent / "datasets"
    if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", dataset):
        for path in (state / "data" / f"{dataset}.toml", shipped / f"{dataset}.toml"):
            if path.is_file():
                return path
    names = sorted({path.stem for folder in (state / "data", shipped) for path in folder.glob("*.toml")})
    raise PantheonError(f"there is no dataset {dataset!r}.", f"There are: {', '.join(names)}.")


def decide(args: argparse.Namespace) -> None:
    """A person's word on the challenger: approve or hold."""
    state = state_folder()
    store = open_store(state)
    model = args.model or read_json(state / "state" / "deployment.json")["dataset"]
    record = (store.approve if args.verb == "approve" else store.hold)(model, by=args.by, note=args.note)
    if args.verb == "approve":
        write_json(state / "state" / "serving.json", {"model": model})
    report({"event": args.verb, "model": model, "version": record.version, "note": args.note})


def publish(args: argparse.Namespace) -> None:
    """A model built elsewhere: checked, then published under an alias."""
    from pantheon.foreign.publish import publish as published

    said = published(
        open_store(state_folder()),
        Path(args.folder),
        args.model,
        args.alias,
        by=args.by,
        note=args.note,
        file=args.file,
        trust=args.trust,
    )
    report({"event": "published", **said})


def in_thread(work: Any, current: Run, stages: Sequence[str] = ()) -> None:
    """Run ``work`` in a thread while another waits for signals: Ctrl-C then ends even a fit that is deep in C at once.

    What the interrupted stages had half-written is removed; their records say ``interrupted``. A recording is taken
    back, or the event says that the repository holds a part of it (``left``). Signals are waited for
    and never handled: Polars hooks itself into the handler of SIGINT, and its threads may then wait for ever.

    Args:
        stages: what this process runs, where other processes may run other stages of the run; empty for all.
    """
    failure: list[BaseException] = []
    ending = threading.Event()

    def target() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed over to the main thread, raised there
            failure.append(error)

    def interrupt() -> NoReturn:
        number = signal.sigwait(SIGNALS)
        ending.set()
        graph.marking.acquire(timeout=1.0)  # kept to the end; not had where nobody reads what a stage is saying
        try:
            left = interrupt_recording(current, PATIENCE)
            for name, record in current.stages().items():
                if record["state"] == "running" and (not stages or name in stages):
                    current.mark(name, **{k: v for k, v in record.items() if k != "stage"} | {"state": "interrupted"})
            tidy(current, str(os.getpid()))
            report({"event": "interrupted", "run": current.id, "left": left})
        finally:
            os._exit(128 + number)

    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # every thread from here on inherits it
    signals = threading.Thread(target=interrupt, name="signals", daemon=True)
    signals.start()
    thread = threading.Thread(target=target, name="work", daemon=True)
    thread.start()
    thread.join()
    if ending.is_set():
        signals.join()  # it ends the process
    if failure:
        raise failure[0]


def tidy(run: Run, pid: str = "*") -> None:
    """Remove what the process ``pid`` has half-written; of every process where nobody else works in the run."""
    for part in run.folder.rglob(f".*.{pid}.*.part"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="pantheon.tasks", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("infer")
    one.add_argument("--file", required=True)
    one.add_argument("--target", required=True)
    one.add_argument("--name", required=True)
    one.add_argument("--out", required=True)
    one.set_defaults(call=infer)
    one = verbs.add_parser("run")
    one.add_argument("--run", default="")
    one.add_argument("--spec", default="")
    one.add_argument("--dataset", default="")
    one.add_argument("--tier", default="")
    one.add_argument("--runner", default="graph", choices=sorted(graph.RUNNERS))
    one.add_argument("--params", default="{}")
    one.add_argument("--until", default="")
    one.set_defaults(call=run)
    one = verbs.add_parser("stage")
    one.add_argument("name")
    where = one.add_mutually_exclusive_group(required=True)
    where.add_argument("--run", default="")
    where.add_argument("--here", action="store_true")
    one.add_argument("--create", default="")
    one.set_defaults(call=stage)
    one = verbs.add_parser("publish")
    one.add_argument("--folder", required=True)
    one.add_argument("--model", required=True)
    one.add_argument("--alias", default="challenger")
    one.add_argument("--by", default="")
    one.add_argument("--note", default="")
    one.add_argument("--file", default="")
    one.add_argument("--trust", action="store_true")
    one.set_defaults(call=publish)
    one = verbs.add_parser("version-prepare")
    one.set_defaults(call=prepare_versions)
    one = verbs.add_parser("version-checkout")
    one.add_argument("--model", required=True)
    one.add_argument("--version", required=True)
    one.set_defaults(call=checkout)
    for verb in ("approve", "hold"):
        one = verbs.add_parser(verb)
        one.add_argument("--model", default="")
        one.add_argument("--by", default="")
        one.add_argument("--note", default="")
        one.set_defaults(call=decide)
    return top


def main() -> None:
    args = parser().parse_args()
    try:
        try:
            args.call(args)
        except OSError as error:  # between two stages: within one, it has been put in words
            raise graph.describe_os_error(error) from error
    except PantheonError as error:
        if getattr(args, "here", False):  # DVC shows what its stages say
            sys.exit(f"pantheon: {error}")
        report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
        sys.exit(error.status)


if __name__ == "__main__":
    main()
