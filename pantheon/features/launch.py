"""Run Feast's own command in the deployment's repository: ``python -m pantheon.features.launch feature-views list``.

It is Feast's program, with three differences. It has the addresses and passwords of this deployment. ``apply`` and
``plan`` never remove what their folder does not define: runs and other teams have registered it. Servers, which run
already, and ``teardown``, which would delete what models need, are refused.
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from pantheon.errors import PantheonError
from pantheon.features import repository
from pantheon.features.here import Here, unavailable
from pantheon.files import Busy

ONE_AT_A_TIME = ("apply", "delete")  # the service takes the same turn when it registers views
READ_DEFINITIONS = ("apply", "plan", "validate")  # of users: with all of Feast's checks
SAY_SECONDS = 1.0  # of waiting, until that is said
REFUSED = {
    "ui": "Feast's web interface already runs. `status` shows its address.",
    "serve": "Feast's feature server already runs, at FEAST_PORT (6566).",
    "teardown": "It would delete the features that deployed models read. To remove one view: `feast delete NAME`. "
    "To delete the deployment: `destroy`",
    "init": "This deployment has a repository already: the folder `feast` in its folder.",
}
SERVERS = ("serve_offline", "serve_registry", "serve_lineage", "serve_transformations", "listen", "mcp")


def verb_of(arguments: list[str]) -> str:
    """Return the first argument that is not an option of ``feast`` itself."""
    left = iter(arguments)
    for argument in left:
        if argument in ("--chdir", "-c", "--log-level", "--feature-store-yaml", "-f"):
            next(left, None)
        elif not argument.startswith("-"):
            return argument
    return ""


def refuse(verb: str) -> None:
    """Raise PantheonError if ``verb`` has no sense in a deployment."""
    if verb in SERVERS:
        raise PantheonError(f"`feast {verb}` starts a server of its own, which nothing here uses.", REFUSED["serve"])
    if verb in REFUSED:
        raise PantheonError(f"`feast {verb}` is not for a deployment of Pantheon.", REFUSED[verb])


def keep_what_others_defined() -> None:
    """Make ``feast apply`` add and change only. Feast has no setting for it (feast#2176 is about the same loss)."""
    from feast.diff import registry_diff

    sorted_out = registry_diff.tag_objects_for_keep_delete_update_add

    def without_removals(existing: Iterable[Any], desired: Iterable[Any]) -> tuple[Any, Any, Any, Any]:
        keep, _, update, add = sorted_out(existing, desired)
        return keep, set(), update, add

    registry_diff.tag_objects_for_keep_delete_update_add = without_removals


@contextlib.contextmanager
def turn(here: Here) -> Iterator[None]:
    """Hold off others who change the registry; say if they have to be waited for."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(here.turn("registry", SAY_SECONDS))
        except Busy:
            print("pantheon: waiting: somebody else is changing the registry.", file=sys.stderr, flush=True)
            held.enter_context(here.turn("registry"))
        yield


def run(here: Here, arguments: list[str]) -> int:
    """Run ``feast`` with ``arguments``; return its exit status.

    Raises:
        PantheonError: the command is refused, or a variable is missing.
    """
    verb = verb_of(arguments)
    refuse(verb)
    repository.set_variables()
    repository.make(here.repository)
    os.chdir(here.repository)
    if verb not in READ_DEFINITIONS:
        repository.import_quickly()
    from feast.cli.cli import cli

    keep_what_others_defined()
    with turn(here) if verb in ONE_AT_A_TIME else contextlib.nullcontext():
        try:
            cli(arguments, prog_name="feast", standalone_mode=True)
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 1
        except Exception as error:
            away = unavailable(error)
            if not away:
                raise
            what = f"{away} does not answer: {' '.join(str(error).split())[:200]}"
            raise PantheonError(what, f"Its log: `logs --service {away}`", 1) from None
    return 0


def main(arguments: list[str]) -> int:
    os.environ.setdefault("FEAST_USAGE", "False")
    try:
        return run(Here.from_environment(), arguments)
    except PantheonError as error:
        print(f"pantheon: {error}", file=sys.stderr)
        return error.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
