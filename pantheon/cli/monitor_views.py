"""Print the monitor's reports and alerts for people: what needs a look first, then the figures."""

from typing import TYPE_CHECKING, Any

from pantheon import terminal
from pantheon.cli import views
from pantheon.cli.options import completed

if TYPE_CHECKING:
    from pantheon.deployment.deployment import Deployment

MOST = 12  # columns that are listed
plain = terminal.plain


def print_reports(found: dict[str, Any], deployment: "Deployment") -> None:
    """Print the reports of ``pantheon.monitoring.work.report``."""
    for name, report in found["reports"].items():
        _print(name, report)
        if (why := found["due"].get(name)) and deployment.settings.retrain != "off":
            command = deployment.command("monitor", model=name, train_again=True)
            terminal.out.print(f"[yellow]●[/] It should be trained again: {plain(why)}\n  {plain(command)}")
    for each in found["settled"]:
        terminal.out.print(f"retraining {plain(each['run'])} of {plain(each['model'])}: {plain(each['decision'])}")
    if not found["kept"]:
        terminal.say("[dim]This window was chosen by hand: the report is not kept, and no alerts are told.[/]")
    for made in found.get("evidently", {}).values():
        terminal.out.print(plain(f"Evidently: {made}"))
    for each in found["alerts"]["waiting"]:
        if each["tries"]:
            terminal.warn(
                f"not delivered by {each['channel']}: {each['title']} ({each['problem']}); it is tried again."
            )


def _print(name: str, report: dict[str, Any]) -> None:
    version = f"version {report['version']}" if report["version"] else "no version"
    begin, end = (report[key][:16].replace("T", " ") for key in ("since", "until"))
    terminal.out.print(f"{plain(name)} · {plain(version)} · {plain(begin)} to {plain(end)} UTC", style="bold")
    for alert in report["alerts"]:
        mark = "[red]✗[/]" if alert["level"] == "page" else "[yellow]![/]"
        terminal.out.print(f"{mark} {plain(alert['text'])}")
        if alert["look"]:
            terminal.out.print(f"  look at: {plain(completed(alert['look']))}")
    terminal.out.print(plain(summary(report)))
    if columns := [each for each in report["columns"] if each["psi"] is not None][:MOST]:
        _print_columns(columns)
    for measure in report["performance"]:
        if measure["value"] is not None:
            before = f", {measure['reference']:.3g} before" if measure["reference"] is not None else ""
            text = f"{measure['value']:.3g} ({measure['low']:.3g} to {measure['high']:.3g}{before})"
            terminal.out.print(plain(f"{measure['name']}: {text}, from {measure['rows']:,} rows"))
    if fairness := report["fairness"]:
        _print_groups(fairness)
    for note in report["notes"]:
        terminal.out.print(f"[dim]· {plain(note)}[/]")


def summary(report: dict[str, Any]) -> str:
    """Return one sentence about a report."""
    if not report["requests"]:
        return "There was no request."
    latency, errors = report["latency"], report["errors"]["share"]["value"] or 0.0
    parts = [f"{report['requests']:,} requests with {report['rows']:,} rows"]
    if latency["p50"] is not None:
        parts.append(f"half of them answered within {latency['p50']:.2f} ms, 99 % within {latency['p99']:.2f} ms")
    parts.append(f"{errors:.1%} refused" if errors else "none refused")
    parts.append(f"feedback about {report['judged']:,} rows" if report["judged"] else "no feedback")
    alerts = [alert["level"] for alert in report["alerts"]]
    end = "nothing needs a look" if not alerts else f"{len(alerts)} {'alert' if len(alerts) == 1 else 'alerts'}"
    return f"{', '.join(parts)}: {end}."


def _print_columns(columns: list[dict[str, Any]]) -> None:
    shown = terminal.table("column", "PSI", "limit", "missing", "new or gone values")
    for each in columns:
        over = each["limit"] is not None and each["psi"] > each["limit"]
        value = f"{each['psi']:.3f}"
        psi = terminal.markup(f"[yellow]{plain(value)}[/]") if over else value
        new = [f"+{value} ({rows:,})" for value, rows in list(each["new"].items())[:5]]
        gone = [f"-{value}" for value in each["gone"][:5]]
        limit = "" if each["limit"] is None else f"{each['limit']:.3f}"
        missing = f"{each['missing']['value'] or 0:.1%}"
        shown.add_row(each["name"], psi, limit, missing, " ".join((*new, *gone)))
    terminal.out.print(shown)


def _print_groups(fairness: dict[str, Any]) -> None:
    groups = [each for each in fairness["groups"] if each["part"] == "all" and each["share"]["value"] is not None]
    if not groups:
        return
    shown = terminal.table("group", "measure", "rate", "expected", "rows")
    for each in groups[:MOST]:
        expected = "" if each["expected"] is None else f"{each['expected']:.1%}"
        rate = f"{each['share']['value']:.1%} ({each['share']['low']:.1%} to {each['share']['high']:.1%})"
        shown.add_row(
            f"{each['column']}={each['value']}", each["measure"], rate, expected, f"{each['share']['rows']:,}"
        )
    terminal.out.print(f"[dim]rate: how often {plain(fairness['outcome'])}[/]")
    terminal.out.print(shown)


def print_retraining(found: dict[str, Any], deployment: "Deployment") -> None:
    """Print what became of retrainings."""
    if not found:
        terminal.say("No model needs to be trained again.")
    for model, each in found.items():
        if outcome := each.get("outcome"):
            views.show_outcome(outcome, deployment)
        else:
            terminal.say(plain(f"{model} is not trained again: {each['why']}"))


def print_alerts(found: dict[str, Any]) -> None:
    """Print where alerts go, which are open, and those that are on their way."""
    terminal.out.print(f"alerts go to: {plain(', '.join(found['channels']))}")
    for each in found["open"]:
        mark = "[red]✗[/]" if each["level"] == "page" else "[yellow]![/]"
        terminal.out.print(f"{mark} {plain(each['title'])}, since {plain(each['began'][:16])}: {plain(each['text'])}")
    if not found["open"]:
        terminal.out.print("no alert is open")
    for each in found["waiting"]:
        why = f"; tried {each['tries']} times: {each['problem']}" if each["tries"] else ""
        terminal.out.print(f"[yellow]●[/] waiting for {plain(each['channel'])}: {plain(each['title'] + why)}")
    if found["told"]:
        shown = terminal.table("told (UTC)", "by", "alert")
        for each in found["told"][-10:]:
            lost = f" (given up: {each['problem']})" if each["problem"] else ""
            shown.add_row(each["at"][:16].replace("T", " "), each["channel"], each["title"] + lost)
        terminal.out.print(shown)
