"""Run Feast's own command in the deployment's repository: ``python -m pantheon.features.launch feature-views list``.

It is Feast's program, with three differences. It has the addresses and passwords of this deployment. ``apply`` and
``plan`` never remove what their folder does not define: runs and other teams have registered it. Servers, which run
already, and what would delete what models need, are refused: ``teardown``, and ``delete`` of a definition in use.
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.features import repository
from pantheon.features.here import Here, unavailable
from pantheon.files import Busy

ONE_AT_A_TIME = ("apply", "delete")  # the service takes the same turn when it registers views
READ_DEFINITIONS = ("apply", "plan", "validate")  # of users: with all of Feast's checks
RETRY_SECONDS = 5.0  # for the store of models
SAY_SECONDS = 1.0  # of waiting, until that is said
REFUSED = {
    "ui": "Feast's web interface already runs. `status` shows its address.",
    "serve": "Feast's feature server already runs, at FEAST_PORT (6566).",
    "teardown": "It would delete the features that deployed models read. To remove one view: `feast delete NAME`. "
    "To delete the deployment: `destroy`",
    "init": "This deployment has a repository already: the folder `feast` in its folder.",
}
_KEPT = "It would delete the definitions of all features. To remove one that no model uses: `feast delete NAME`"
SERVERS = ("serve_offline", "serve_registry", "serve_lineage", "serve_transformations", "listen", "mcp")


def words_of(arguments: list[str]) -> list[str]:
    """Return the arguments that are not options: the command's name first."""
    left, words = iter(arguments), list[str]()
    for argument in left:
        if not words and argument in ("--chdir", "-c", "--log-level", "--feature-store-yaml", "-f"):
            next(left, None)
        elif not argument.startswith("-"):
            words.append(argument)
    return words


def refuse(verb: str, more: list[str]) -> None:
    """Raise PantheonError if a command has no sense in a deployment.

    Args:
        more: the words after the verb.
    """
    if verb == "projects" and more[:1] == ["delete"]:
        raise PantheonError("`feast projects delete` is not for a deployment of Pantheon.", _KEPT)
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


def refuse_if_used(here: Here, name: str) -> None:
    """Raise PantheonError if models use the definition ``name``, or if the models cannot be asked."""
    from pantheon.features.definitions import Definitions
    from pantheon.features.deleting import refuse_used
    from pantheon.store import open_store

    store = repository.open_store(here.repository)
    registered = Definitions(store, Path, here.turn, lambda view: "", lambda view: None)  # which only reads here
    models = open_store(here.state, retry_seconds=RETRY_SECONDS)
    refuse_used(name, registered.views(), registered.services(), models)


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
    verb, *more = words_of(arguments) or [""]
    refuse(verb, more)
    repository.set_variables()
    repository.make(here.repository)
    os.chdir(here.repository)
    if verb not in READ_DEFINITIONS:
        repository.import_quickly()
    from feast.cli.cli import cli

    keep_what_others_defined()
    if verb == "delete" and more:
        refuse_if_used(here, more[0])
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
