"""Whatever is sent, the answer is JSON with one sentence, and never a 500; nothing is saved of what is refused."""

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kubeflow import KEY, Service, manifest

GOOD = {"apiVersion": "tests.pantheon/v1", "kind": "Count", "metadata": {"name": "good"}, "spec": {"to": 1}}
HEAD = "apiVersion: tests.pantheon/v1\nkind: Count\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("requests"))
    made.start()
    yield made
    assert made.end(signal.SIGTERM) == 0
    assert "Traceback" not in made.output
    assert not list(made.state.glob("kubeflow/objects/*/*/refused*"))


def refused(service: Service, body: Any, status: int, path: str = "/apply") -> tuple[str, str]:
    """Return the error's message and path."""
    answer = service.raw("POST", path, body)
    assert answer.status == status, answer
    error = answer.json["error"]
    assert isinstance(error["message"], str)
    assert "\n" not in error["message"]
    assert len(error["message"]) < 400
    return error["message"], error.get("path", "")


def changed(**parts: Any) -> str:
    return yaml.safe_dump({**GOOD, "metadata": {"name": "refused"}} | parts)


@pytest.mark.parametrize(
    ("text", "message", "path"),
    [
        ("", "there is no manifest.", ""),
        ("# nothing\n---\n---\n", "there is no manifest.", ""),
        ("- a", "document 1 is a list, not a manifest.", ""),
        ("a: [1", "this is not YAML: line 2, column 1: did not find expected ',' or ']'.", ""),
        ("\ta: b", "this is not YAML: line 1, column 1: found character that cannot start any token.", ""),
        (HEAD + "kind: Count", "kind: is given twice, the second time in line 3.", "kind"),
        (HEAD + "metadata: &a {name: *a}", "line 3 contains an alias of itself.", ""),
        ("a: !!python/object:os.system x", "a: line 1 has the tag 'python/object:os.system'", "a"),
        ("{" * 60 + "}" * 60, "line 1 is nested more than 50 levels deep, the limit.", ""),
        ("---\na: 1\n" * 101, "line 201 begins document 101, and the limit is 100.", ""),
        ("a: [" + "1," * 150_000 + "1]", "the manifests have more than 100,000 values", ""),
        ("pipelineInfo: {name: x}\nroot: {}", "this is a compiled pipeline, not a manifest of an object.", ""),
        (changed(kind="Counts"), "kind: there is no kind 'Counts' here.", "kind"),
        (changed(kind=5), "kind: must be a string, not a number.", "kind"),
        (changed(apiVersion="v1"), "apiVersion: Count has no version 'v1' here.", "apiVersion"),
        (changed(sepc={}), "sepc: there is no such field.", "sepc"),
        (changed(spec=None), "spec: is missing.", "spec"),
        (changed(spec=[1]), "spec: must be a mapping, not a list.", "spec"),
        (changed(spec={"to": "3"}), "spec.to: must be a whole number, not a string.", "spec.to"),
        (changed(spec={"to": True}), "spec.to: must be a whole number, not true or false.", "spec.to"),
        (changed(spec={"to": 1, "paus": 2}), "spec.paus: there is no such field.", "spec.paus"),
        (changed(spec={}), "spec.to: is missing.", "spec.to"),
        (changed(spec={"to": -1}), "spec.to: must not be negative.", "spec.to"),
        (changed(metadata={"name": "Big"}), "metadata.name: 'Big' is not a valid name.", "metadata.name"),
        (changed(metadata={"name": "../x"}), "metadata.name: '../x' is not a valid name.", "metadata.name"),
        (changed(metadata={"name": "a" * 64}), "metadata.name: 'aaa", "metadata.name"),
        (changed(metadata={"generateName": "x-"}), "metadata.generateName: names are not", "metadata.generateName"),
        (changed(metadata={"name": "a", "namespace": ".."}), "metadata.namespace: '..' is not", "metadata.namespace"),
        (changed(metadata={"name": "a", "labels": {"x": 1}}), "metadata.labels.x: must be a", "metadata.labels.x"),
        (changed(metadata=None), "metadata: is missing.", "metadata"),
        (HEAD + 'metadata: {name: "a\\0b"}', "metadata.name: line 3 has a character that", "metadata.name"),
        (HEAD + "metadata: {name: a}\nspec: {to: .nan}", "spec.to: .nan is not a number that JSON has.", "spec.to"),
    ],
)  # fmt: skip
def test_each_bad_manifest_is_one_sentence_with_the_path(service: Service, text: str, message: str, path: str) -> None:
    said, where = refused(service, text.encode(), 422)
    assert said.startswith(message)
    assert where == path


def test_bytes_sizes_and_several_manifests(service: Service) -> None:
    assert refused(service, b"\xff\xfe", 422)[0] == "line 1 is not UTF-8: byte 0xff."
    assert refused(service, b"x" * (1 << 20 | 1), 413)[0].endswith("the limit is 1,048,576 bytes.")
    assert refused(service, iter([b"y" * 65536] * 800), 413)[0].startswith("The request's body is too large")  # chunked
    good, bad = manifest("refused-with", to=1), manifest("refused-too", to=-1)
    said, path = refused(service, good + b"---\n" + bad, 422)
    assert said == "manifest 2 (Count refused-too): spec.to: must not be negative."
    assert path == "spec.to"
    listed = yaml.safe_dump({"kind": "List", "items": [yaml.safe_load(bad)]}).encode()
    assert refused(service, listed, 422)[0] == "spec.to: must not be negative."
    said, _ = refused(service, manifest("refused-there", "two", to=1), 422, "/apply?namespace=one")
    assert said == "metadata.namespace: is two, but the namespace one was asked for."


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404), ("GET", "/objects", 404), ("GET", "/objects/default/nothing", 422),
        ("GET", "/objects/default/counts", 200), ("GET", "/objects/-/Count?table=1", 200), ("GET", "/kinds", 200),
        ("GET", "/objects/default/counts/nobody", 404), ("GET", "/objects/../counts/..", 404),
        ("GET", "/objects/default/counts/nobody/logs", 404), ("DELETE", "/objects/default/counts/nobody", 404),
        ("POST", "/objects/default/counts/nobody/suspend", 404), ("POST", "/objects/default/counts/nobody/fly", 422),
        ("PUT", "/apply", 405), ("POST", "/kinds", 405), ("POST", "/objects/default/counts", 405),
        ("GET", "/apply?" + "a=b&" * 30, 400), ("POST", "/apply?namespace=..", 422),
    ],
)  # fmt: skip
def test_addresses(service: Service, method: str, path: str, status: int) -> None:
    answer = service.raw(method, path)
    assert answer.status == status
    assert status == 200 or isinstance(answer.json["error"]["message"], str)


def test_only_the_key_opens_it_and_its_body_is_not_read_before(service: Service) -> None:
    for header in ("", KEY, "Bearer", f"Bearer {KEY}x", f"Basic {KEY}", "Bearer \xe9"):
        for method, path in [("GET", "/kinds"), ("POST", "/apply"), ("DELETE", "/objects/default/counts/x")]:
            answer = service.raw(method, path, Authorization=header)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(b"POST /apply HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 401")
    answer = service.raw("POST", "/apply", b"", **{"X-Pantheon-User": "a" * 101})
    assert answer.status == 400


def test_logs_are_only_regular_files_of_the_object(service: Service, tmp_path: Path) -> None:
    client, secret = service.client, tmp_path / "secret"
    secret.write_text("secret")
    client.apply(manifest("logs", to=1))
    client.wait("counts", "logs", lambda found: bool(found["status"].get("code") == 0), 60)
    (folder,) = (service.state / "kubeflow" / "work").glob("default/counts/logs-*/logs")
    (folder / "link").symlink_to(secret)
    (folder / "way").symlink_to(tmp_path)
    assert [each["name"] for each in client.logs("counts", "logs")] == ["steps/count.log"]
    for name in ("link", "way/secret", "..%2fnumbers", "steps/../../numbers", "steps", "%00", ""):
        assert service.raw("GET", f"/objects/default/counts/logs/logs/{name}").status == 404, name
    assert service.raw("GET", "/objects/default/counts/logs/logs/steps/count.log?from=x").status == 400
    assert service.raw("GET", "/objects/default/counts/logs/logs/steps/count.log?from=99").body == b""


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates()
values = st.recursive(
    scalars,
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=12) | st.integers(), below, max_size=4)
    ),
    max_leaves=12,
)
NAMES = [*GOOD, "status", "name", "namespace", "labels", "annotations", "uid", "resourceVersion", "to", "pause", "<<"]
named = st.recursive(
    scalars | st.sampled_from(["Count", "tests.pantheon/v1", "refused", "default"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(NAMES), below, max_size=6),
    max_leaves=20,
)
MARKS = [
    "  ",
    "- ",
    "&a ",
    "*a",
    "[",
    "]",
    "{",
    "}",
    "'",
    '"',
    "!",
    "? ",
    ": ",
    "\n",
    "\t",
    "#",
    ",",
    "---\n",
    "%YAML 1.1\n",
    "Count",
    "1",
    "\\",
    "é",
    "~",
]
lines = st.lists(st.sampled_from([*(f"{name}:" for name in NAMES), *MARKS, "|\n", ">\n"]), max_size=40).map("".join)


def as_yaml(value: Any) -> bytes:
    return yaml.dump(value, allow_unicode=True).encode("utf-8", "replace")


bodies = (
    st.binary(max_size=200)
    | lines.map(str.encode)
    | (values | named).map(as_yaml)
    | named.map(lambda each: as_yaml({**GOOD, "spec": each}))
    | named.map(lambda each: as_yaml({**GOOD, "metadata": each}))
)


@settings(max_examples=250)
@given(body=bodies)
def test_random_yaml_is_applied_or_refused(service: Service, body: bytes) -> None:
    answer = service.raw("POST", "/apply", body)
    assert answer.status in (200, 409, 422, 429), (answer, body)
    if answer.status != 200:
        message = json.loads(answer.body)["error"]["message"]
        assert message
        assert "\n" not in message, (message, body)
