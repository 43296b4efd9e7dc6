"""A person's word on the challenger: ``approve`` and ``hold``."""

from typing import Any

from pantheon.cli.options import Json, Name, Note, TierName, parts


def approve(tier: TierName = "", name: Name = "pantheon", note: Note = "", as_json: Json = False) -> None:
    """Deploy the challenger."""
    decide("approve", name, note, as_json)


def hold(tier: TierName = "", name: Name = "pantheon", note: Note = "", as_json: Json = False) -> None:
    """Keep the challenger from being deployed, with a note that says why."""
    decide("hold", name, note, as_json)


def decide(verb: str, name: str, note: str, as_json: bool) -> None:
    import getpass

    from pantheon.cli import show, workflow

    deployment, _, engine = parts(name, "")
    said: dict[str, Any] = {}
    arguments = [verb, "--model", deployment.settings.dataset, "--by", getpass.getuser(), "--note", note]
    workflow.Task(engine)(arguments, said.update)
    done = "is deployed" if verb == "approve" else "is held"
    show.print_json(said) if as_json else show.say(f"{said['model']} version {said['version']} {done}.")
