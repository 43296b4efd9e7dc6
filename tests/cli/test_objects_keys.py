"""Keys of an S3 of one's own: they replace the former ones when they have worked, and a command killed does no harm."""

import http.server
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pantheon.cli import credentials, objects
from pantheon.cli.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.store import buckets, client, move
from pantheon.store.current import store_at
from tests.store.between import Between, answering, handler_for
from tests.store.servers import free_ports, moto

numbers = itertools.count(1)


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


class Home:
    """A deployment whose commands know nothing but what lies on the disk, as those of different processes."""

    def __init__(self, doors: Doors) -> None:
        first = Deployment("pantheon")
        first.update()
        self.secrets = first.state / "secrets"
        self.number = next(numbers)  # the tests' buckets are all in one S3
        own = [credentials.s3_keys(self.secrets, user)[0] for user in ("s3", "button")]
        self.ours = self.place({"endpoint": doors(*own), "bucket": f"ours-{self.number}"}, embedded=True)

    def place(self, where: dict[str, str], embedded: bool = False) -> dict[str, Any]:
        at = {"region": "us-east-1", "host_endpoint": where["endpoint"]} | where
        return {"kind": "s3", **at, "embedded": embedded}

    def up(self, endpoint: str = "", access: str = "", **more: str) -> None:
        """What ``up`` does about the models' place; ``access``: of the AWS keys that the shell has."""
        given = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": f"secret-of-{access}"} if access else {}
        bucket = f"theirs-{self.number}{more.get('bucket', '')}" if endpoint not in ("", "none") else ""
        deployment = Deployment("pantheon")
        objects.choose(deployment, endpoint, bucket, given | more)
        objects.settle(deployment)
        chosen = deployment.settings.s3
        new = self.place(chosen) if chosen else self.ours
        objects.check(deployment, new)
        if not chosen:  # our service comes up, and makes its bucket
            deployment.update()
            own = self.secrets / "checked"
            own.write_text(credentials.own_keys(self.secrets, "s3"))
            buckets.prepare(client.connect(self.ours, own, host=True), self.ours["bucket"])
            own.unlink()
        objects.move(deployment, new)
        deployment.update()

    @property
    def keys(self) -> dict[str, str]:
        """What lies in the folders of the services' keys."""
        found = {user: self.secrets / user for user in ("s3", "button")}
        return {f"{user}/{file.name}": file.read_text() for user, at in found.items() for file in at.iterdir()}

    @property
    def where(self) -> str:
        return objects.words(objects.current(Deployment("pantheon")))

    @property
    def models(self) -> list[str]:
        """Versions, as commands find them, and the page with its own keys."""
        state, here = Deployment("pantheon").state, objects.current(Deployment("pantheon"))
        stores = [store_at(state, here, True, 0.2, self.secrets / user / "credentials") for user in ("s3", "button")]
        found, same = ([each.version for each in store.list("robots")] for store in stores)
        assert found == same
        return found

    @property
    def everything(self) -> dict[str, Any]:
        return {"keys": self.keys, "where": self.where, "settings": asdict(Deployment("pantheon").settings)}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doors: Doors) -> Home:
    """With one model, in its folder."""
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    monkeypatch.setattr(objects, "PATIENCE", 0.2)
    made = Home(doors)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"onnx")
    Deployment("pantheon").store().publish("robots", tmp_path / "bundle", {})
    return made


def of(access: str) -> dict[str, str]:
    """The files where a key of an S3 of one's own is in use, and in no other."""
    text = credentials.aws_file(access, f"secret-of-{access}")
    return {"s3/credentials": text, "button/credentials": text}


def own(home: Home) -> dict[str, str]:
    return {f"{user}/credentials": credentials.own_keys(home.secrets, user) for user in ("s3", "button")}


@pytest.mark.parametrize("start", ["folder", "ours", "theirs"])
@pytest.mark.parametrize("wrong", ["address", "keys"])
def test_a_place_that_cannot_be_used_changes_nothing(home: Home, doors: Doors, start: str, wrong: str) -> None:
    if start == "ours":
        home.up()
    if start == "theirs":
        home.up(doors("first"), "first")
    before = home.everything
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(
        PantheonError, match="there is no S3 at" if wrong == "address" else "refuses these keys"
    ) as told:
        home.up(nobody if wrong == "address" else doors("another"), "second")
    assert told.value.status == 1
    assert "secret-of" not in str(told.value)
    assert home.everything == before
    assert home.models == ["1"]
    if start != "folder":
        home.up()
        assert home.everything == before, "a plain up goes on where it was"


def test_keys_of_the_shell_are_nobodys_unless_an_s3_is_named(home: Home, doors: Doors) -> None:
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


def test_rotated_keys_are_given_with_the_same_address(home: Home, doors: Doors) -> None:
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


def test_from_one_to_another_each_with_its_keys(home: Home, doors: Doors) -> None:
    home.up()
    home.up(doors("first"), "first")
    assert (home.keys, home.models) == (of("first"), ["1"])
    second = doors("second")
    home.up(second, "second", bucket="-b")
    assert (home.keys, home.models) == (of("second"), ["1"])
    assert second in home.where


def test_while_models_are_copied_services_have_the_keys_of_where_they_lie(
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


def test_keys_of_ours_that_were_damaged_are_written_anew(home: Home) -> None:
    home.up()
    before = home.keys
    for user in ("s3", "button"):
        (home.secrets / user / "credentials").write_bytes(b"\xff")
    home.up()
    assert home.keys == before
    assert home.models == ["1"]


class Killed(BaseException):
    """As kill -9: nothing that comes after it is done."""


STEPS = ("the keys", "the button's keys", "the move", "store.json", "settings", "tidying")
WAYS = ("ours to theirs", "theirs to another", "theirs to ours", "new keys")


@pytest.mark.parametrize(
    ("way", "step"), [(way, step) for way in WAYS for step in (STEPS[:2] if way == "new keys" else STEPS)]
)
def test_killed_anywhere_the_next_up_finds_what_works(
    home: Home, doors: Doors, way: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either all is as before or all is as asked for, and a plain ``up`` says so again and again."""
    first, second = doors("first", "rotated"), doors("second")
    if way == "ours to theirs":
        home.up()
    else:
        home.up(first, "first")
    asked = {
        "ours to theirs": (second, "second"),
        "theirs to another": (second, "second"),
        "theirs to ours": ("none",),
        "new keys": (first, "rotated"),
    }[way]
    more = {"bucket": "-b"} if way == "theirs to another" else {}
    with monkeypatch.context() as patched:
        dying(patched, step)
        with pytest.raises(Killed):
            home.up(*asked, **more)
    home.up()
    assert home.models == ["1"]
    settled = home.everything
    left = {file for file in home.keys if not file.endswith(".part")}  # half a file may stay where it was written
    assert left == {"s3/credentials", "button/credentials"}
    home.up()
    assert home.everything == settled
    home.up(*asked, **more)
    assert home.models == ["1"]
    wanted = own(home) if way == "theirs to ours" else of(asked[1])
    assert home.keys | wanted == home.keys


def dying(patched: pytest.MonkeyPatch, step: str) -> None:
    """Die before ``step``; what would tidy up while the exception passes finds itself dead as well."""
    dead = threading.Event()

    def die(*_: Any, **__: Any) -> Any:
        dead.set()
        raise Killed

    def until_dead(function: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            return die() if dead.is_set() else function(*given, **named)

        return call

    replace, count = Path.replace, itertools.count(1)

    def replacing(path: Path, target: Path) -> Any:
        number = next(count) if str(target).endswith("/credentials") else 0
        if dead.is_set() or number == {"the keys": 1, "the button's keys": 2}.get(step):
            die()
        return replace(path, target)

    patched.setattr(Path, "replace", replacing)
    patched.setattr(objects, "settle", until_dead(objects.settle))
    if step == "the move":
        patched.setattr(move, "move", die)
    if step == "store.json":
        patched.setattr(move, "write_json", die)
    if step == "settings":
        update = Deployment.update
        patched.setattr(Deployment, "update", lambda self, **given: die() if "s3" in given else update(self, **given))
    if step == "tidying":
        unlink = Path.unlink
        patched.setattr(
            Path, "unlink", lambda path, **given: die() if path.name.endswith("-next") else unlink(path, **given)
        )


def test_a_version_that_is_damaged_stays_with_its_keys(home: Home, doors: Doors) -> None:
    home.up(doors("first"), "first")
    before = home.everything
    state = Deployment("pantheon").state
    here = json.loads((state / "state" / "store.json").read_text())
    s3 = client.connect(here, state / "secrets" / "s3" / "credentials", host=True)
    s3.put_object(Bucket=here["bucket"], Key="models/robots/1/model.onnx", Body=b"other")
    with pytest.raises(PantheonError, match="version 1 of robots cannot be moved"):
        home.up(doors("second"), "second", bucket="-b")
    assert home.everything == before
