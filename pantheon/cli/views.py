"""Print results for people; ``pantheon.cli.model_views`` prints those of the model store."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pantheon import terminal
from pantheon.cli.options import completed
from pantheon.deployment import commands

if TYPE_CHECKING:
    from pantheon.deployment.deployment import Deployment
    from pantheon.engines.findings import Finding
    from pantheon.tiers import Tier

ANSWERS = {"answered": "[green]✓[/]", "unanswered": "[yellow]●[/]", "cannot": "[dim]·[/]"}
plain = terminal.plain


def utc(iso: str) -> str:
    """Format a time of the store, which is in UTC."""
    return f"{iso[:19].replace('T', ' ')} UTC"


def show_status(found: dict[str, Any]) -> None:
    """Print the services and the model of ``pantheon.deployment.status``."""
    shown = terminal.table("service", "state", "address", "memory", "up for", "")
    for s in found["services"]:
        memory = f"{s['memory_mb']} MB" if s["memory_mb"] else ""
        uptime = terminal.seconds(s["uptime_seconds"]) if s["uptime_seconds"] else ""
        mark = terminal.markup(f"{terminal.MARKS.get(s['state'], '·')} {plain(s['state'])}")
        why = completed(s["why"] or "")
        shown.add_row(s["name"], mark, s["address"] or "", memory, uptime, why)
    terminal.out.print(
        f"{plain(found['tier'])} · deployment {plain(found['name'])} · engine {plain(found['engine'])}", style="bold"
    )
    terminal.out.print(shown)
    for warning in found["warnings"]:
        terminal.out.print(f"[yellow]![/] {plain(completed(warning))}")
    width = max([10, *(len(login["title"]) + 2 for login in found["logins"].values())])

    def label(text: str = "") -> str:
        return text.ljust(width)

    model, doubt = found["model"], ""
    if found["models"]["trouble"]:
        doubt, summary = "[red]?[/] ", completed(found["models"]["trouble"])
    elif model:
        summary = f"version {model['version']}, since {utc(model['since'])}"
    else:
        summary = f"none yet: run {commands.command(found['name'], found['tier'], 'run')}"
    terminal.out.print(f"{plain(label('model'))}{plain(found['dataset'])}, {doubt}{plain(summary)}")
    if refused := found["refused"]:
        terminal.out.print(f"{plain(label())}[red]✗[/] {plain(completed(refused['cause'] + ' ' + refused['cure']))}")
    for each in found["waiting"]:
        decide = commands.command(found["name"], found["tier"], "approve", model=each["model"])
        challenger = f"{each['model']} version {each['version']}"
        since = f"for approval since {utc(each['since'])}"
        terminal.out.print(f"{plain(label('waiting'))}{plain(f'{challenger}, {since}: {decide}')}")
    terminal.out.print(f"{plain(label('models'))}{plain(found['models']['where'] or '?')}")
    state = terminal.relative(Path(found["state"]))
    terminal.out.print(f"{plain(label('state'))}{plain(state)}  (secrets/ holds the credentials, mode 0600)")
    if "button" not in found["logins"]:
        terminal.out.print(f"{plain(label('page'))}{plain(found['page'])}")
    addresses = {s["name"]: s["address"] for s in found["services"]}
    for name, login in found["logins"].items():
        where = f": cat {terminal.relative(Path(login['file']))}" if login["file"] else ""
        who = f"  ({login['who']}{where})" if login["who"] else ""
        terminal.out.print(f"{plain(label(login['title']))}{plain(addresses[name] + who)}")
    if terminal.out.is_terminal:  # not into a log
        from pantheon.deployment import logins

        for name, login in found["logins"].items():
            if url := logins.link(addresses[name], login["link"], Path(login["file"])):
                said = f"this link opens the {login['title']}; it works once, within 15 minutes"
                text = f"{label('log in')}{url}\n{label()}{said}"
                terminal.out.print(text, soft_wrap=True, markup=False)


def show_outcome(outcome: dict[str, Any], deployment: "Deployment") -> None:
    """Print the outcome of a run."""
    decision, version = outcome["decision"], outcome.get("version")
    model, reason = outcome["model"], outcome["reason"]
    if decision == "promoted":
        terminal.say(f"[green]✓[/] {plain(model)} version {plain(version)} is deployed: {plain(reason)}")
    elif decision == "challenger":
        approve, hold = deployment.command("approve"), deployment.command("hold", note="why")
        terminal.say(f"[yellow]●[/] {plain(model)} version {plain(version)} waits for approval: {plain(reason)}")
        terminal.say(f"  Review it on the page, then run: {plain(approve)}   or   {plain(hold)}")
    else:
        terminal.say(f"[red]✗[/] {plain(model)} was not deployed: {plain(reason)}")
    for warning in outcome.get("warnings", []):
        terminal.say(f"[yellow]![/] {plain(completed(warning))}")


def show_runs(found: list[dict[str, Any]], deployment: "Deployment") -> None:
    """Print one line per run."""
    if not found:
        terminal.say(f"no runs yet. Start one: {plain(deployment.command('run'))}")
        return
    shown = terminal.table("run", "dataset", "tier", "state", "work", "outcome")
    for r in found:
        outcome = f"{r['decision']} {r['version'] or ''} {r['reason']}".strip()
        state = terminal.markup(f"{terminal.MARKS.get(r['state'], '·')} {plain(r['state'])}")
        shown.add_row(r["id"], r["dataset"], r["tier"], state, terminal.seconds(r["seconds"]), outcome)
    terminal.out.print(shown)


def show_run(found: dict[str, Any]) -> None:
    """Print one line per stage of a run, in the order in which they started."""
    terminal.out.print(plain(f"run {found['run']}"), style="bold")
    shown = terminal.table("stage", "state", "started", "took", "")
    for stage in sorted(found["stages"].values(), key=lambda stage: str(stage.get("started", ""))):
        state = terminal.markup(f"{terminal.MARKS.get(stage['state'], '·')} {plain(stage['state'])}")
        took = terminal.seconds(stage["seconds"]) if stage.get("seconds") else ""
        note = stage.get("error") or ", ".join(f"{key} {value}" for key, value in stage.get("summary", {}).items())
        shown.add_row(stage["stage"], state, stage.get("started", "")[:19].replace("T", " "), took, note)
    terminal.out.print(shown)
    if outcome := found["outcome"]:
        terminal.out.print(plain(f"{outcome['decision']}: {outcome['reason']}"))


def show_answer(answer: dict[str, Any]) -> None:
    """Print one line per row: the prediction, its meaning and its probability."""
    for index, label in enumerate(answer["prediction"]):
        meaning = answer["words"][index] if "words" in answer else ""
        sure = f"{max(answer['probabilities'][index]):.0%}" if answer.get("probabilities") else ""
        terminal.out.print("  ".join(filter(None, [str(label), meaning, sure])), markup=False)
    for note in answer.get("notes", []):
        terminal.warn(note)
    terminal.err.print(f"[dim]model version {plain(answer['version'])}[/]")


def show_questions(answers: dict[str, Any]) -> None:
    """Print every question with its answer and source."""
    for number, each in enumerate(answers["questions"], start=1):
        terminal.out.print(f"[bold]{plain(number)}. {plain(each['question'])}[/]")
        terminal.out.print(f"   {ANSWERS[each['state']]} {plain(each['answer'])}")
        if each["source"]:
            terminal.out.print(f"     [dim]from {plain(each['source'])}[/]")
    count = sum(each["state"] == "answered" for each in answers["questions"])
    terminal.say(f"[dim]{plain(count)} of {len(answers['questions'])} answered. Another time T: AT='10 minutes ago'[/]")


def show_findings(findings: "Sequence[Finding]") -> None:
    """Print the results of ``doctor``."""
    shown = terminal.table("", "check", "result", "how to fix it")
    for f in findings:
        mark = terminal.markup(terminal.MARKS["healthy" if f.ok else "failed"])
        shown.add_row(mark, f.what, f.found, "" if f.ok else f.cure)
    terminal.out.print(shown)


def show_smoke(results: list[dict[str, Any]]) -> None:
    """Print one line per check of ``test``, and how many passed."""
    for result in results:
        mark = terminal.MARKS["done" if result["ok"] else "failed"]
        terminal.out.print(f"{mark} {plain(result['check'])}  [dim]{plain(result['found'])}[/]")
    passed = sum(r["ok"] for r in results)
    terminal.out.print(f"{plain(passed)} passed, {plain(len(results) - passed)} failed")


def show_tiers(chosen: "Sequence[Tier]", story: bool) -> None:
    """Print one line per tier; with ``story``, also describe the only one."""
    shown = terminal.table("#", "tier", "adds", "")
    for t in chosen:
        shown.add_row(str(t.number), t.name, t.adds, "" if t.built else "not built yet")
    terminal.out.print(shown)
    if not story:
        return
    (only,) = chosen
    terminal.out.print(f"\n{plain(only.title)}. {plain(only.story)}")
    if only.built:
        terminal.out.print(f"\n  make tier-{plain(only.name)} up")
        for name, variant in only.variants.items():
            terminal.out.print(
                f"  make tier-{plain(only.name)} up VARIANT={plain(name)}   [dim]{plain(variant.adds)}[/]"
            )


def show_refused(done: dict[str, Any], how: str) -> None:
    """Print notes about a file, and its rows that were refused.

    Args:
        done: ``{"notes", "first": [[row, why]], "refused": how many, "refused_file"}``.
        how: what happened to them, after "were".
    """
    for note in done["notes"]:
        terminal.warn(note)
    for row, why in done["first"]:
        terminal.warn(f"row {row:,}: {why}")
    if done["refused"]:
        more = done["refused"] - len(done["first"])
        rest = f" ({more:,} more than the ones above)" if more else ""
        rows = "row was" if done["refused"] == 1 else "rows were"
        terminal.say(terminal.plain(f"{done['refused']:,} {rows} {how}{rest}: {done['refused_file']}"))
