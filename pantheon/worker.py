"""The program that runs inside the workflow's environment: ``python -m pantheon.worker VERB``.

Every engine starts it as a one-off task of the ``workflow`` service, in a process, a container or a pod.
The command line shows progress from its events (``pantheon.events``). The state folder is ``STATE_DIR``.
"""

import argparse
import json
import os
import shlex
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from msgspec import structs

from pantheon import events, versioning
from pantheon.errors import PantheonError
from pantheon.events import report
from pantheon.files import freeze, read_json, remove_parts
from pantheon.state import StoreLocation, published, read_store, set_served
from pantheon.workflow import datasets, graph, memory, take
from pantheon.workflow.data.origin import Given
from pantheon.workflow.run import Params, Run

SIGNALS = {signal.SIGINT, signal.SIGTERM}
GRACE_SECONDS = 7.0  # for `dvc checkout` in the user's work tree after Ctrl-C; engines kill after ten
POLL_SECONDS = 0.02  # between two reads of what the host writes


def begin(what: str, command: str) -> None:
    """Report what this process does, the command that repeats it, and the memory that it may use."""
    memory.repeat_with(command)
    again, more = f"`{command}`", memory.more()
    report({"event": "begin", "what": what, "memory": memory.allowed(), "again": again, "more": more})


def state_folder() -> Path:
    folder = os.environ.get("STATE_DIR")
    if not folder or not Path(folder).is_dir():
        raise PantheonError(
            "STATE_DIR does not name a deployment's state folder.", "Start with `make tier-persephone up`."
        )
    return Path(folder)


def open_store(state: Path) -> Any:
    """Return the deployment's current model store: a folder, or S3."""
    from pantheon import store

    return store.open_store(state)


def hook(state: Path) -> graph.Hook | None:
    """Return what a component adds to the stages: the feature store, if the deployment has one."""
    from pantheon.features.stages import Stages

    return Stages() if published(state).route.features == "feast" else None


def fix_threads(params: Params) -> None:
    """Set the number of threads before numeric libraries are imported, so that floats are added in the same order."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[name] = str(params.threads)
    # OpenMP's threads wait by spinning, which takes many times as long as the work on a busy machine. A
    # short spin costs 4 % of the default's speed on an idle machine, no spinning 75 % (tuning on 100,000 rows).
    os.environ["GOMP_SPINCOUNT"] = "1000"


def take_dataset(args: argparse.Namespace) -> None:
    """Store the file on standard input in ``data/`` and infer the spec of a new dataset; see ``take.take``.

    Without a file, infer the spec of the dataset ``--dataset`` again.
    """
    from pantheon.inside import translated

    given = Given(args.file, args.path, args.called, args.target, args.header, args.infer, args.dataset)
    options = {key: getattr(given, key) for key in ("target", "header", "infer", "dataset") if getattr(given, key)}
    flags = [part for key, value in options.items() for part in (f"--{key}", value)]
    begin(f"reading {args.called}", shlex.join(["run", "--data", args.called, *flags]))
    state = state_folder()
    try:
        if args.file:
            taken = take.take(state, given, sys.stdin.buffer, args.size, args.modified)
        else:
            taken = take.again(state, args.dataset, args.header)
    except PantheonError as error:
        cause, cure = (translated(text, str(state), args.state) for text in (error.cause, error.cure))
        raise PantheonError(cause, cure, error.status) from None
    spec = taken.spec
    columns = spec.columns if spec else ()
    report({
        "event": "dataset",
        "name": taken.name,
        "task": spec.task if spec else "",
        "target": spec.target.column if spec else "",
        "notes": [*taken.notes, *datasets.notes(spec)],
        "columns": [{"name": c.name, "type": c.type, "role": c.role, "why": c.why} for c in columns],
    })  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Start a new run, or resume one that was interrupted or failed."""
    state = state_folder()
    if args.run:
        current = Run.find(state, args.run)
    else:
        spec = datasets.spec_of(state, args.dataset).read_text(encoding="utf-8")
        params = Params.read(json.loads(args.params))
        if args.id:
            current = Run.ensure(state, args.id, spec, args.dataset, params, args.tier, args.runner, args.by)
        else:
            current = Run.create(state, spec, args.dataset, params, args.tier, args.runner, args.by)
    record = current.record
    fix_threads(current.params)
    begin("", f"run --resume {current.id}")
    report({"event": "run", "run": current.id, "dataset": record.dataset, "runner": record.runner})
    graph.wanted(args.until)
    with graph.exclusive(current):
        tidy(current)
        in_thread(lambda: run_stages(current, args.until), current)
    if args.until:
        report({"event": "until", "run": current.id, "stage": args.until})
    else:
        outcome = read_json(current.path("outcome.json"), "Start a new run: `run`")
        report({"event": "outcome", "run": current.id, **outcome})


def run_stages(current: Run, until: str) -> None:
    """Run the stages with the run's runner; with DVC, record the run before its model is published."""
    runner, store, added = graph.RUNNERS[current.record.runner], open_store(current.state), hook(current.state)
    if until in ("", "deploy") and versioning.enabled(current.state):
        for name in graph.GRAPH["deploy"]:
            runner(current, store, report, name, added)
        versioning.step(current, report)
    runner(current, store, report, until, added)


def here(name: str) -> None:
    """Run one stage in the working directory, a repository: the commands of dvc.yaml do this."""
    from pantheon.versioning.pipeline import Workspace

    current = Workspace(Path.cwd())
    fix_threads(current.params)
    print(current.repeat(name), flush=True)


def prepare_versions(args: argparse.Namespace) -> None:
    """Create missing repositories of the deployment; ``changed`` reports whether any were missing."""
    state = state_folder()
    changed = not versioning.is_prepared(state)
    warning = versioning.prepare(state).warning if changed else ""
    path = str(versioning.work_tree_of(state))
    report({"event": "versions", "path": path, "changed": changed, "warning": warning})


def checkout(args: argparse.Namespace) -> None:
    """Restore a version's parameters, spec and data in a separate repository."""
    state = state_folder()
    report({"event": "checkout", **versioning.checkout(state, open_store(state), args.model, args.version)})


def stage(args: argparse.Namespace) -> None:
    """Run one stage of an existing run, of a run that ``--create`` creates, or with ``--here`` in this repository."""
    if args.here:
        here(args.name)
        return
    state = state_folder()
    current = ensured(state, args.run, args.create) if args.create else Run.find(state, args.run)
    fix_threads(current.params)
    begin("", f"stage {args.name} --run {current.id}")

    def work() -> None:
        if args.name == "deploy":
            versioning.step(current, report)
        graph.run_single(args.name, current, open_store(state), report, hook=hook(state))

    in_thread(work, current, [args.name])


def ensured(state: Path, name: str, text: str) -> Run:
    """Return the run ``name``; create it from ``text``, JSON of ``{"dataset", "params", "tier", "runner", "by"}``."""
    try:
        request = json.loads(text)
        unknown = set(request) - {"dataset", "params", "tier", "runner", "by"}
        dataset, params = request["dataset"], request.get("params", {})
    except (ValueError, TypeError, KeyError):
        raise PantheonError("--create is not valid.", 'For example: {"dataset": "robots", "params": {}}') from None
    if unknown or not isinstance(dataset, str) or not isinstance(params, dict):
        raise PantheonError(
            f"--create has an unknown key or a wrong type: {text[:200]}", "Allowed: dataset, params, tier, runner, by."
        )
    spec = datasets.spec_of(state, dataset).read_text(encoding="utf-8")
    tier, runner = str(request.get("tier", "")), str(request.get("runner", "graph"))
    if runner not in graph.RUNNERS:
        raise PantheonError(f"there is no runner {runner!r}.", f"Use one of: {', '.join(graph.RUNNERS)}.")
    return Run.ensure(state, name, spec, dataset, Params.read(params), tier, runner, str(request.get("by", "")))


def decide(args: argparse.Namespace) -> None:
    """Apply a person's decision about the challenger: approve or hold."""
    from pantheon.store.operations import only_waiting

    state = state_folder()
    store = open_store(state)
    model = args.model or only_waiting(store, published(state).dataset)
    record = (store.approve if args.verb == "approve" else store.hold)(model, by=args.by, note=args.note)
    if args.verb == "approve":
        set_served(state, model)
    known = datasets.find_spec(state, model) is not None
    report({"event": args.verb, "model": model, "version": record.version, "note": args.note, "dataset": known})


def move_models(args: argparse.Namespace) -> None:
    """Move the models to another place; report ``arrived`` so that the command line records it, then ``moved``.

    Only the host writes the files that it trusts, so the lock that blocks publishers is kept until ``store.json``
    names the new place and the keys of ``--keys`` are where services read them; ``-``: on standard input.
    """
    from pantheon.store.move import received, relocate

    state, given, new = state_folder(), args.keys == "-", msgspec.json.decode(args.to, type=StoreLocation | None)
    keys = received(sys.stdin.buffer) if given else Path(os.environ["SECRETS_DIR"]) / "s3" / args.keys

    def take_over() -> None:
        report({"event": "arrived"})
        while read_store(state) != new or (keys.exists() and not given):
            time.sleep(POLL_SECONDS)

    moved = relocate(state, new, report, new_credentials=keys, take_over=take_over)
    report({"event": "moved", "models": moved})


def answer(args: argparse.Namespace) -> None:
    """Answer a command's query about the deployment's runs and models, as an event ``answer`` with a ``value``."""
    from pantheon import inside

    state, called = state_folder(), args.called or None
    report({"event": "answer", "value": inside.answer(state, args.question, json.loads(args.given), called)})


def in_thread(work: Any, current: Run, stages: Sequence[str] = ()) -> None:
    """Run ``work`` in a thread while another waits for signals, so that Ctrl-C immediately ends even a fit in C code.

    Incomplete files of the interrupted stages are removed; their records say ``interrupted``. A recording is stopped;
    the next one starts over. Signals are waited for and never handled: Polars hooks itself into the handler of SIGINT,
    and its threads may then block forever.

    Args:
        stages: the stages that this process runs, if other processes may run others of the same run; empty for all.
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
        graph.marking.acquire(timeout=1.0)  # held to the end; times out if the reader of a stage's output is gone
        try:
            versioning.interrupt(GRACE_SECONDS)
            for name, record in current.records().items():
                if record.state == "running" and (not stages or name in stages):
                    current.mark(structs.replace(record, state="interrupted"))
            freeze()
            tidy(current, os.getpid())
            report({"event": "interrupted", "run": current.id})
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


def tidy(run: Run, pid: int | None = None) -> None:
    """Remove incomplete files of the process ``pid``; of all processes if no other one works on the run."""
    remove_parts(run.folder, pid)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="pantheon.worker", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("dataset")
    one.add_argument("--file", default="", help="its name; none: the file in data/")
    one.add_argument("--path", default="", help="the file on the caller's machine")
    one.add_argument("--size", default=0, type=int)
    one.add_argument("--modified", default=0, type=int, help="nanoseconds since 1970")
    one.add_argument("--target", default="")
    one.add_argument("--header", default="", choices=["", "none"], help="none: no line names the columns")
    one.add_argument(
        "--infer", default="", choices=["", "again"], help="again: infer the columns of a known dataset too"
    )
    one.add_argument("--dataset", default="", help="the dataset that the file belongs to")
    one.add_argument("--called", required=True, help="its name in messages")
    one.add_argument("--state", default="", help="the state folder's path on the caller's side")
    one.set_defaults(call=take_dataset)
    one = verbs.add_parser("run")
    one.add_argument("--run", default="")
    one.add_argument("--id", default="", help="of the new run; default: one that is made now")
    one.add_argument("--dataset", default="")
    one.add_argument("--tier", default="")
    one.add_argument("--by", default="", help="who asks for the run")
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
    one = verbs.add_parser("version-prepare")
    one.set_defaults(call=prepare_versions)
    one = verbs.add_parser("version-checkout")
    one.add_argument("--model", required=True)
    one.add_argument("--version", required=True)
    one.set_defaults(call=checkout)
    one = verbs.add_parser("move-models")
    one.add_argument("--to", required=True, help="a StoreLocation as JSON; null for the folder")
    one.add_argument("--keys", required=True, help="the file with its keys, in secrets/s3")
    one.set_defaults(call=move_models)
    one = verbs.add_parser("ask")
    one.add_argument("question")
    one.add_argument("--given", default="{}")
    one.add_argument("--called", default="", help="the state folder's path on the caller's side")
    one.set_defaults(call=answer)
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
        except MemoryError:  # within a stage, the error has a message already
            raise memory.exhausted(args.called if args.verb == "dataset" else args.verb) from None
        except OSError as error:  # between two stages; within a stage, the error has a message already
            raise graph.describe_os_error(error) from error
    except PantheonError as error:
        if getattr(args, "here", False):  # DVC shows the output of its stages
            sys.exit(f"pantheon: {error}")
        report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
        sys.exit(error.status)


def task() -> None:
    """Run ``main`` as a process of its own, which reports every end that is possible."""
    if "--here" in sys.argv:  # DVC shows the output of its stages
        memory.apply()
        main()
        sys.exit()
    events.reserve()
    report({"event": "begin"})
    status = 0
    try:
        memory.apply()
        main()
        report({"event": "end"})
    except PantheonError as error:  # of the setting; ``main`` reports its own
        report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
        status = error.status
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - reported in one line; the log has the traceback
        traceback.print_exc()
        cure = "This is a fault of Pantheon or of an extension. The traceback: `logs --service workflow`"
        report({"event": "error", "cause": f"{type(error).__name__}: {error}.", "cure": cure, "status": 1})
        status = 1
    events.finish(status)


if __name__ == "__main__":
    task()
