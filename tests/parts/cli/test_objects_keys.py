"""Keys of another S3 replace the former ones only after they have worked; a killed command does no harm."""

import http.server
import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pantheon import worker
from pantheon.deployment import secrets, storage
from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.state import StoreLocation
from pantheon.store import move, open_store
from pantheon.store.current import store_at
from pantheon.store.s3 import client, prepare
from tests.support.ports import free_ports
from tests.support.s3_faults import Between, answering, handler_for
from tests.support.s3_servers import moto

numbers = itertools.count(1)
USERS = ("s3", "button", "endpoint")


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 that takes any keys."""
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server.endpoint


class Doors:
    """Addresses of S3 servers, each of which takes the access keys ``known`` to it and refuses all others."""

    def __init__(self, stack: ExitStack, behind: str) -> None:
        self.stack, self.behind = stack, behind
        self.known: dict[str, set[str]] = {}

    def __call__(self, *accepted: str) -> str:
        """A new one."""
        known = set(accepted)
        relay_on = handler_for(Between(self.behind)).relay  # type: ignore[attr-defined]

        class Handler(handler_for(Between(self.behind))):  # type: ignore[misc]
            disable_nagle_algorithm = True

            def relay(self) -> None:
                if any(f"Credential={each}/" in self.headers.get("Authorization", "") for each in known):
                    relay_on(self)
                else:
                    answering(403, "InvalidAccessKeyId")(self)
                    self.close_connection = True

            do_GET = do_PUT = do_DELETE = do_POST = do_HEAD = relay

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.stack.callback(server.server_close)
        self.stack.callback(server.shutdown)
        address = f"http://127.0.0.1:{server.server_address[1]}"
        self.known[address] = known
        return address


@pytest.fixture
def doors(behind: str) -> Iterator[Doors]:
    with ExitStack() as stack:
        yield Doors(stack, behind)


class Tasks:
    """An engine whose tasks run in this process: what ends it ends them too."""

    shares_folders = True

    def __init__(self, state: Path) -> None:
        self.state = state

    def prepare(self, environments: list[str]) -> None:
        assert environments == ["workflow"]

    def run_task(
        self, service: str, command: list[str], *, on_output: Any, on_errors: Any, input: None, output: None
    ) -> int:
        assert (service, command[:3]) == ("mover", ["python", "-m", "pantheon.worker"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STATE_DIR", str(self.state))
            patch.setenv("SECRETS_DIR", str(self.state / "secrets"))
            patch.setattr(sys, "argv", command[2:])
            patch.setattr(worker, "report", lambda event: on_output(json.dumps(event)))
            try:
                worker.main()
            except SystemExit as ended:
                return int(ended.code or 0)
        return 0


class Home:
    """A deployment whose commands know nothing but what lies on the disk, as those of different processes."""

    def __init__(self, doors: Doors) -> None:
        first = Deployment("pantheon")
        first.update(tier="nemesis")
        self.secrets = first.state / "secrets"
        self.number = next(numbers)  # the tests' buckets are all in one S3
        own = [secrets.s3_keys(self.secrets, user)[0] for user in USERS]
        self.ours = self.place(doors(*own), f"ours-{self.number}", embedded=True)

    def place(self, endpoint: str, bucket: str, embedded: bool = False) -> StoreLocation:
        return StoreLocation(bucket, endpoint, endpoint, embedded=embedded)

    def up(self, endpoint: str = "", access: str = "", **more: str) -> None:
        """What ``up`` does about the models' place; ``access``: of the AWS keys that the shell has."""
        given = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": f"secret-of-{access}"} if access else {}
        bucket = f"theirs-{self.number}{more.get('bucket', '')}" if endpoint not in ("", "none") else ""
        deployment = Deployment("pantheon")
        storage.recall(deployment)
        storage.choose(deployment, endpoint, bucket, given | more)
        chosen = deployment.settings.s3
        new = self.place(chosen.endpoint, chosen.bucket) if chosen else self.ours
        storage.check(deployment, new)
        storage.settle(deployment)
        if not chosen:  # our service comes up, and makes its bucket
            deployment.update()
            own = self.secrets / "checked"
            own.write_text(secrets.own_keys(self.secrets, "s3"))
            prepare.prepare(client.connect(self.ours, own, host=True), self.ours.bucket)
            own.unlink()
        storage.move(deployment, Tasks(deployment.state), new)  # type: ignore[arg-type]
        deployment.update()

    @property
    def keys(self) -> dict[str, str]:
        """What lies in the folders of the services' keys."""
        found = {user: self.secrets / user for user in USERS}
        return {
            f"{user}/{file.name}": file.read_text()
            for user, at in found.items()
            for file in at.iterdir()
            if file.name != "password"
        }

    @property
    def where(self) -> str:
        return storage.describe(storage.current(Deployment("pantheon")))

    @property
    def models(self) -> list[str]:
        """Versions, as commands find them, and the page and the endpoint with their own keys."""
        state, here = Deployment("pantheon").state, storage.current(Deployment("pantheon"))
        stores = [store_at(state, here, True, 0.2, self.secrets / user / "credentials") for user in USERS]
        found, *others = ([each.version for each in store.list("robots")] for store in stores)
        assert all(found == other for other in others)
        return found

    @property
    def everything(self) -> dict[str, Any]:
        return {
            "keys": self.keys,
            "where": self.where,
            "settings": msgspec.structs.asdict(Deployment("pantheon").settings),
        }


@pytest.fixture
def new_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doors: Doors) -> Callable[[], Home]:
    """Makes deployments one after another, each with one model, in its folder."""
    monkeypatch.setattr(storage, "TIMEOUT_SECONDS", 0.2)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"onnx")
    places = itertools.count()

    def make() -> Home:
        monkeypatch.setenv("PANTHEON_HOME", str(tmp_path / f"home-{next(places)}"))
        made = Home(doors)
        open_store(Deployment("pantheon").state, host=True).publish("robots", tmp_path / "bundle", {})
        return made

    return make


@pytest.fixture
def home(new_home: Callable[[], Home]) -> Home:
    return new_home()


def of(access: str) -> dict[str, str]:
    """The files where a key of an S3 of one's own is in use, and in no other."""
    text = secrets.aws_file(access, f"secret-of-{access}")
    return {f"{user}/credentials": text for user in USERS}


def own(home: Home) -> dict[str, str]:
    return {f"{user}/credentials": secrets.own_keys(home.secrets, user) for user in USERS}


@pytest.mark.parametrize("start", ["folder", "ours", "theirs"])
@pytest.mark.parametrize("wrong", ["address", "keys"])
def test_an_unusable_store_changes_nothing(home: Home, doors: Doors, start: str, wrong: str) -> None:
    if start == "ours":
        home.up()
    if start == "theirs":
        home.up(doors("first"), "first")
    before = home.everything
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(PantheonError, match="does not answer" if wrong == "address" else "refuses these keys") as told:
        home.up(nobody if wrong == "address" else doors("another"), "second")
    assert told.value.status == 1
    assert "secret-of" not in str(told.value)
    assert home.everything == before
    assert home.models == ["1"]
    if start != "folder":
        home.up()
        assert home.everything == before, "a plain up goes on where it was"


def test_keys_of_the_shell_are_ignored_unless_an_s3_is_set(home: Home, doors: Doors) -> None:
    home.up(doors("first"), "first")
    assert home.keys == of("first")
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in home.secrets.glob("*/credentials"))
    home.up(access="unrelated")
    assert home.keys == of("first")
    home.up("none", access="unrelated")
    assert home.keys == own(home), "in no file any longer"
    home.up(access="unrelated")
    assert home.keys == own(home)
    assert home.models == ["1"]


def test_rotated_keys_are_accepted_with_the_same_address(home: Home, doors: Doors) -> None:
    endpoint = doors("first")
    home.up(endpoint, "first")
    before = home.everything
    with pytest.raises(PantheonError, match="refuses these keys"):
        home.up(endpoint, "second")
    assert home.everything == before
    doors.known[endpoint] |= {"second"}
    doors.known[endpoint] -= {"first"}  # what was in use is refused from now on
    home.up(endpoint, "second")
    assert home.keys == of("second")
    assert home.models == ["1"]


def test_moving_between_stores_uses_the_keys_of_both(home: Home, doors: Doors) -> None:
    home.up()
    home.up(doors("first"), "first")
    assert (home.keys, home.models) == (of("first"), ["1"])
    second = doors("second")
    home.up(second, "second", bucket="-b")
    assert (home.keys, home.models) == (of("second"), ["1"])
    assert second in home.where


def test_while_models_are_copied_services_have_the_keys_of_the_old_store(
    home: Home, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.up(doors("first"), "first")
    copy, seen = move.move, []

    def copying(*given: Any) -> Any:
        copied = copy(*given)
        seen.append((of("first").items() <= home.keys.items(), home.models))
        return copied

    monkeypatch.setattr(move, "move", copying)
    home.up(doors("second"), "second", bucket="-b")
    assert seen == [(True, ["1"])] * 2
    assert (home.keys, home.models) == (of("second"), ["1"])


def test_damaged_keys_of_the_own_store_are_written_again(home: Home) -> None:
    home.up()
    before = home.keys
    for user in USERS:
        (home.secrets / user / "credentials").write_bytes(b"\xff")
    home.up()
    assert home.keys == before
    assert home.models == ["1"]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["ours to theirs", "theirs to another", "theirs to ours", "new keys"])
def test_an_up_killed_at_any_file_is_completed_by_the_next(
    new_home: Callable[[], Home], doors: Doors, way: str
) -> None:
    """Either everything is as before or everything is as asked for, and a plain ``up`` keeps it so."""
    for point in itertools.count(1):
        home = new_home()
        first, second = doors("first", "rotated"), doors("second")
        home.up(*{"ours to theirs": ()}.get(way, (first, "first")))
        asked = {
            "ours to theirs": (second, "second"),
            "theirs to another": (second, "second"),
            "theirs to ours": ("none",),
            "new keys": (first, "rotated"),
        }[way]
        more = {"theirs to another": {"bucket": "-b"}}.get(way, {})
        finished = killed_before(point, lambda up=home.up, asked=asked, more=more: up(*asked, **more))
        home.up()
        assert home.models == ["1"]
        settled = home.everything
        left = {
            file for file in home.keys if not file.endswith(".part")
        }  # part of a file may stay where it was written
        assert left == {f"{user}/credentials" for user in USERS}
        home.up()
        assert home.everything == settled
        home.up(*asked, **more)
        assert home.models == ["1"]
        wanted = {"theirs to ours": own(home)}.get(way) or of(asked[-1])
        assert home.keys | wanted == home.keys
        if finished:
            break
    assert point > 3, "it replaces at least the keys of two services, and removes what it checked"


def killed_before(point: int, up: Callable[[], None]) -> bool:
    """Call ``up`` in a child process that is killed (-9) before it replaces or removes the ``point``-th file.

    Returns:
        Whether it finished before that.
    """
    child = os.fork()
    if not child:
        status = 1
        try:
            count = itertools.count(1)

            def hook(event: str, arguments: tuple[Any, ...]) -> None:
                file = os.fsdecode(arguments[0]) if event in ("os.rename", "os.remove") else ""
                if file and not (event == "os.remove" and file.endswith(".part")) and next(count) == point:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            up()
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status == 0


def test_models_with_a_damaged_version_are_not_moved_and_keep_their_keys(home: Home, doors: Doors) -> None:
    home.up(doors("first"), "first")
    before = home.everything
    state = Deployment("pantheon").state
    here = storage.current(Deployment("pantheon"))
    assert here
    s3 = client.connect(here, state / "secrets" / "s3" / "credentials", host=True)
    s3.put_object(Bucket=here.bucket, Key="models/robots/1/model.onnx", Body=b"other")
    with pytest.raises(PantheonError, match="version 1 of robots cannot be moved"):
        home.up(doors("second"), "second", bucket="-b")
    assert home.everything == before
