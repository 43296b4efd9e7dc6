"""``pantheon pipeline``: run pipelines of Kubeflow, look at their runs, compare them, have them start themselves."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pantheon.cli.options import Json, Name, running
from pantheon.errors import PantheonError

if TYPE_CHECKING:
    from pantheon.engines import Engine
    from pantheon.kubeflow.client import Kubeflow

app = typer.Typer(name="pipeline", help="Run pipelines of Kubeflow, and look at their runs.", no_args_is_help=True)
recurring = typer.Typer(name="recurring", help="Runs that start by themselves.", no_args_is_help=True)
app.add_typer(recurring)
PipelineName = Annotated[
    str, typer.Argument(metavar="FILE|NAME", help="a .py or compiled .yaml file, or a pipeline's name")
]
Settings = Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]…", help="the pipeline's parameters")]
Function = Annotated[str, typer.Option("--function", help="the pipeline in the .py file, if it has several")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="the run's name")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="the namespace, which is a profile")]
Called = Annotated[str, typer.Option("--called", help="the run's name; default: made from the pipeline's and the time")]


@app.command()
def run(
    pipeline: PipelineName,
    settings: Settings = None,
    function: Function = "",
    called: Called = "",
    cache: Annotated[bool, typer.Option(help="take steps with the same code and inputs from the cache")] = True,
    wait: Annotated[bool, typer.Option(help="show the steps until the run ends")] = True,
    namespace: Namespace = "default",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Run a pipeline: ``pantheon pipeline run mine.py rows=100``."""
    from pantheon import terminal
    from pantheon.deployment import pipelines
    from pantheon.kubeflow.pipelines import kinds

    client, engine = _client(name)
    spec = pipelines.load(engine, pipeline, function)
    spec |= {"parameters": pipelines.settings_of(settings or []), "caching": cache}
    named = spec.get("pipelineSpec")
    info = named.get("pipelineInfo") if isinstance(named, dict) else None
    title = str(info.get("name", "")) if isinstance(info, dict) else Path(pipeline).stem
    called = called or pipelines.new_name(title)
    pipelines.start(client, spec, called, namespace)
    terminal.say(terminal.plain(f"run {called} has started"))
    if not wait:
        return
    try:
        found = pipelines.follow(client, called, namespace)
    except KeyboardInterrupt:
        terminal.say(terminal.plain(f"The run goes on. To stop it: bin/pantheon pipeline stop {called}"))
        raise
    if as_json:
        terminal.print_json(found)
    for note in found["status"].get("notes", []):
        terminal.warn(note)
    if kinds.state_of(found) != "done":
        raise PantheonError(pipelines.reason(found), f"A step's log: `bin/pantheon pipeline logs {called} STEP`", 1)
    for key, value in (found["status"].get("outputs") or {}).items():
        terminal.out.print(terminal.plain(f"{key}: {value}"))


@app.command("list")
def list_(namespace: Namespace = "default", name: Name = "pantheon", as_json: Json = False) -> None:
    """List runs, the newest first."""
    from pantheon import terminal
    from pantheon.deployment import pipelines
    from pantheon.kubeflow.pipelines import kinds

    client, _ = _client(name)
    runs = list(reversed(client.list(pipelines.RUNS, namespace)))
    if as_json:
        terminal.print_json(runs)
        return
    table = terminal.table("run", "pipeline", "state", "steps", "seconds", "by")
    for each in runs:
        columns = kinds.run_columns(each)
        by = (each["metadata"].get("annotations") or {}).get("pantheon/by", "")
        shown = (each["metadata"]["name"], *columns.values(), f"{pipelines.duration(each):.0f}", by)
        table.add_row(*map(terminal.plain, (shown[0], shown[1], shown[2], shown[3], shown[4], shown[5])))
    terminal.out.print(table)


@app.command()
def show(run: RunName, namespace: Namespace = "default", name: Name = "pantheon", as_json: Json = False) -> None:
    """Show a run: its parameters, steps and artifacts."""
    from pantheon import terminal
    from pantheon.deployment import pipelines
    from pantheon.kubeflow.pipelines import kinds

    client, _ = _client(name)
    found = client.get(pipelines.RUNS, run, namespace)
    if as_json:
        terminal.print_json(found)
        return
    state, status = kinds.state_of(found), found["status"]
    said = f": {pipelines.reason(found)}" if state in ("failed", "stopped") else ""
    terminal.out.print(terminal.plain(f"{run}: {kinds.pipeline_of(found)}, {state}{said}"))
    for key, value in status.get("parameters", {}).items():
        terminal.out.print(terminal.plain(f"  {key} = {value}"))
    table = terminal.table("step", "state", "seconds", "memory", "note")
    for step in status.get("steps", []):
        told = [step.get("error", ""), step.get("note", ""), "from the cache" if step.get("cached") else ""]
        memory = f"{step.get('memory', 0) / 2**20:.0f} MB" if step.get("memory") else ""
        cells = (step["name"], step["state"], f"{step.get('seconds', 0.0):.2f}", memory, ", ".join(filter(None, told)))
        table.add_row(*map(terminal.plain, cells))
    terminal.out.print(table)
    files = terminal.table("artifact", "type", "of step", "metadata")
    for each in status.get("artifacts", []):
        figures = ", ".join(f"{key} {value}" for key, value in list(pipelines.figures(each).items())[:4])
        files.add_row(*map(terminal.plain, (each.get("file", each["name"]), each["type"], each["step"], figures)))
    terminal.out.print(files)


@app.command()
def logs(
    run: RunName,
    step: Annotated[
        str, typer.Argument(metavar="[STEP]", help="a step, or an artifact's file as `show` names it")
    ] = "",
    namespace: Namespace = "default",
    name: Name = "pantheon",
) -> None:
    """Print the log of one step, or of all steps in the order of their start."""
    from pantheon import terminal
    from pantheon.deployment import pipelines

    client, _ = _client(name)
    found = client.get(pipelines.RUNS, run, namespace)
    there = {each["name"] for each in client.logs(pipelines.RUNS, run, namespace)}
    steps = [each["name"] for each in found["status"].get("steps", []) if f"{each['name']}.log" in there]
    wanted = [step] if step else steps
    for each in wanted:
        file = each if each in there else f"{each}.log"
        if file not in there:
            raise PantheonError(
                f"the run {run} has no log of a step {each!r}.", f"Its steps: {', '.join(steps) or 'none'}."
            )
        if not step:
            sys.stdout.write(f"== {each}\n")
        begin, content = 0, b" "
        while content:
            content, begin = client.log(pipelines.RUNS, run, file, begin, namespace)
            sys.stdout.write(terminal.printable(content.decode(errors="replace")))
    sys.stdout.flush()


@app.command()
def compare(
    one: RunName, other: RunName, namespace: Namespace = "default", name: Name = "pantheon", as_json: Json = False
) -> None:
    """Compare two runs: parameters that differ, metrics and seconds side by side."""
    from pantheon import terminal
    from pantheon.deployment import pipelines

    client, _ = _client(name)
    rows = pipelines.compare(client.get(pipelines.RUNS, one, namespace), client.get(pipelines.RUNS, other, namespace))
    if as_json:
        terminal.print_json([dict(zip(("of", "name", one, other), row, strict=True)) for row in rows])
        return
    table = terminal.table("", "name", one, other)
    for row in rows:
        table.add_row(*map(terminal.plain, row))
    terminal.out.print(table)


@app.command("compile")
def compile_(
    file: Annotated[Path, typer.Argument(metavar="FILE.py")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="default: FILE.yaml")] = None,
    function: Function = "",
    name: Name = "pantheon",
) -> None:
    """Compile a pipeline with KFP's compiler; a cluster of Kubeflow takes the same file."""
    from pantheon import terminal
    from pantheon.deployment import pipelines
    from pantheon.files import write_text

    _, engine = _client(name)
    title, text = pipelines.compile_file(engine, file, function)
    target = output or file.with_suffix(".yaml")
    write_text(target, text)
    terminal.say(terminal.plain(f"{target}: the pipeline {title}"))


@app.command()
def stop(run: RunName, namespace: Namespace = "default", name: Name = "pantheon") -> None:
    """Stop a run; ``resume`` continues it."""
    _act(name, "pipelineruns", run, "stop", namespace)


@app.command()
def resume(run: RunName, namespace: Namespace = "default", name: Name = "pantheon") -> None:
    """Continue a run that failed or was stopped: steps that are done are not run again."""
    _act(name, "pipelineruns", run, "resume", namespace)


@app.command()
def soak(
    count: Annotated[int, typer.Argument(metavar="N", min=1, max=200)],
    pipeline: PipelineName = "workflow",
    settings: Settings = None,
    seconds: Annotated[float, typer.Option(help="how long to wait for the runs")] = 3600.0,
    namespace: Namespace = "default",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Start N runs at once, and report durations, failures and memory."""
    from pantheon import terminal
    from pantheon.deployment import pipelines

    client, engine = _client(name)
    spec = pipelines.load(engine, pipeline) | {"parameters": pipelines.settings_of(settings or []), "caching": False}
    found = pipelines.soak(client, spec, count, namespace, seconds)
    if as_json:
        terminal.print_json(found)
    else:
        failed, left = len(found["failed"]), len(found["unfinished"])
        said = f"{count} runs in {found['seconds']:.0f} s, the slowest took {found['slowest']:.0f} s; the largest step "
        said += f"used {found['memory'] / 2**20:.0f} MB; {failed} failed, {left} go on"
        terminal.out.print(terminal.plain(said))
        for run, why in found["failed"].items():
            terminal.warn(terminal.plain(f"{run}: {why}"))
    if found["failed"] or found["unfinished"]:
        raise typer.Exit(1)


@recurring.command("create")
def create(
    called: Annotated[str, typer.Argument(metavar="NAME", help="the name of the recurring run")],
    pipeline: PipelineName,
    settings: Settings = None,
    cron: Annotated[str, typer.Option(help="a cron expression in UTC")] = "",
    every: Annotated[int, typer.Option(help="an interval in seconds", min=0)] = 0,
    overlap: Annotated[int, typer.Option(help="how many of its runs may work at once", min=1)] = 1,
    catchup: Annotated[bool, typer.Option(help="make up for every missed time, not only for the newest")] = False,
    namespace: Namespace = "default",
    name: Name = "pantheon",
) -> None:
    """Have runs of a pipeline start by themselves: ``--cron '0 6 * * *'`` or ``--every 3600``."""
    import json

    from pantheon import terminal
    from pantheon.deployment import pipelines
    from pantheon.kubeflow.pipelines import kinds

    if bool(cron) == bool(every):
        raise PantheonError("the time is missing." if not cron else "--cron and --every are both given.", "Give one.")
    client, engine = _client(name)
    trigger: dict[str, Any] = (
        {"cronSchedule": {"cron": cron}} if cron else {"periodicSchedule": {"intervalSecond": every}}
    )
    spec = pipelines.load(engine, pipeline) | {
        "parameters": pipelines.settings_of(settings or []),
        "trigger": trigger,
        "maxConcurrency": overlap,
        "noCatchup": not catchup,
    }
    metadata = {"name": called, "namespace": namespace}
    manifest = {"apiVersion": kinds.OWN, "kind": "RecurringRun", "metadata": metadata, "spec": spec}
    done = client.apply(json.dumps(manifest).encode(), namespace)
    terminal.say(terminal.plain(f"{called} {done[0]['action']}"))


@recurring.command("list")
def list_recurring(namespace: Namespace = "default", name: Name = "pantheon", as_json: Json = False) -> None:
    """List recurring runs."""
    from pantheon import terminal
    from pantheon.kubeflow.pipelines import kinds

    client, _ = _client(name)
    found = client.list("recurringruns", namespace)
    if as_json:
        terminal.print_json(found)
        return
    table = terminal.table("name", "schedule", "mode", "last run", "next time")
    for each in found:
        table.add_row(*map(terminal.plain, (each["metadata"]["name"], *kinds.recurring_columns(each).values())))
    terminal.out.print(table)


@recurring.command("suspend")
def suspend_recurring(run: RunName, namespace: Namespace = "default", name: Name = "pantheon") -> None:
    """Start no more runs until it is resumed."""
    _act(name, "recurringruns", run, "suspend", namespace)


@recurring.command("resume")
def resume_recurring(run: RunName, namespace: Namespace = "default", name: Name = "pantheon") -> None:
    """Start runs again."""
    _act(name, "recurringruns", run, "resume", namespace)


@recurring.command("delete")
def delete_recurring(run: RunName, namespace: Namespace = "default", name: Name = "pantheon") -> None:
    """Delete a recurring run; runs that it has started stay."""
    from pantheon import terminal

    _client(name)[0].delete("recurringruns", run, namespace)
    terminal.say(terminal.plain(f"{run} deleted"))


def _act(name: str, kind: str, run: str, action: str, namespace: str) -> None:
    from pantheon import terminal

    _client(name)[0].act(kind, run, action, namespace)
    terminal.say(terminal.plain(f"{run}: {action}"))


def _client(name: str) -> "tuple[Kubeflow, Engine]":
    from pantheon.deployment import kubeflow

    deployment, _, engine = running(name, "", "pipeline")
    return kubeflow.client(deployment, engine), engine
