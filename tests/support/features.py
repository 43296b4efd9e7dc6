"""Feature views with a few parts, and a service that answers questions about them as ``feast`` does."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
import polars as pl

from pantheon.features import quality
from pantheon.features.api import Problem, refusal
from pantheon.features.contract import CREATED, EVENT, Check, Chosen, Code, Coded, Field, View
from pantheon.features.forgetting import remove
from pantheon.features.look import At, Look

KEY = "FeaturesKey0123456789FeaturesKey0123456789"
START = datetime(2026, 3, 1, tzinfo=UTC)
RUN = "20260301-120000-ab12"
ROBOTS = View(
    name="robots",
    set="robots",
    kind="raw",
    key="robot_id",
    entity="robot-id",
    time="seen-at",
    owner="anna",
    description="Robots and how they are",
    run=RUN,
    ttl_seconds=30 * 86400,
    freshness_seconds=7 * 86400,
    fields=[
        Field(
            name="robot_age",
            column="robot-age",
            type="number",
            description="years since it was built",
            minimum=0,
            maximum=20,
        ),
        Field(name="rust_level", column="rust-level", type="integer", max_missing=0.1),
        Field(name="battery", column="battery", type="text", max_missing=0.0),
        Field(name="inspected", column="inspected", type="date"),
        Field(name="painted", column="painted", type="boolean"),
    ],
)
ENGINEERED = View(
    name="robots_engineered_0a1b2c3d",
    set="robots",
    kind="engineered",
    key="robot_id",
    entity="robot-id",
    time="seen-at",
    owner="anna",
    description="Features computed from the columns of robots",
    run=RUN,
    fields=[
        Field(
            name="rust_per_year",
            column="rust_per_year",
            type="number",
            expression='"rust-level" / ("robot-age" + 1)',
            of=["rust-level", "robot-age"],
            owner="ben",
        )
    ],
    code=Code(
        inputs=[Coded(name="robot-age", type="number"), Coded(name="rust-level", type="integer")],
        formulas={
            "rust_per_year": [
                "div",
                ["column", "rust-level"],
                ["add", ["column", "robot-age"], ["number", 1.0]],
            ]
        },
    ),
)
VISITS = View(
    name="visits",
    set="visits",
    kind="raw",
    key="row",
    owner="ben",
    fields=[Field(name="minutes", column="minutes", type="number")],
)
VIEWS = [ROBOTS, ENGINEERED, VISITS]
SERVICE = Chosen(
    name="robots_20260301_120000_ab12",
    set="robots",
    features=["robots:robot_age", "robots:battery", f"{ENGINEERED.name}:rust_per_year"],
    run=RUN,
)


def rows(view: View, values: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Rows of a view: the key, ``at`` (days after START, or a time), ``created`` (as ``at``, if not given), fields."""
    kinds = {"number": pl.Float64, "integer": pl.Int64, "text": pl.String, "boolean": pl.Boolean}
    moment = pl.Datetime("us", "UTC")
    schema = {field.name: kinds.get(field.type, moment) for field in view.fields}
    made = [
        {
            view.key: str(each["id"]),
            EVENT: _moment(each["at"]),
            CREATED: _moment(each.get("created", each["at"])),
            **{field.name: each.get(field.name) for field in view.fields},
        }
        for each in values
    ]
    return pl.DataFrame(made, {view.key: pl.String, EVENT: moment, CREATED: moment, **schema})


def _moment(given: float | datetime) -> datetime:
    return given if isinstance(given, datetime) else START + timedelta(days=given)


def write(folder: Path, view: View, frame: pl.DataFrame, day: float = 0, checks: Sequence[Check] | None = None) -> Path:
    """Write a part as the service does, ``day`` days after START; return its path."""
    path = folder / view.name / f"{_moment(day):%Y%m%dT%H%M%S%f}Z-{len(frame):016x}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {quality.RUN: RUN} | ({quality.CHECKS: quality.encoded([*checks])} if checks is not None else {})
    frame.write_parquet(path, metadata=said)
    return path


def sample(folder: Path) -> None:
    """Parts of ``VIEWS``: 200 robots, each seen twice, and visits; one robot is too old, two batteries are missing."""
    robots: list[dict[str, Any]] = []
    for number in range(400):
        id, second = number % 200, number // 200
        robots.append(
            {
                "id": id,
                "at": second * 10,
                "robot_age": (id * 7 % 19) + 0.25 * second if id else 99.0,
                "rust_level": id % 10,
                "battery": None if id in (3, 4) else ("low", "full", "half")[id % 3],
                "inspected": START - timedelta(days=id),
                "painted": id % 2 == 0 if id % 5 else None,
            }
        )
    for part, age in ((0, 11.0), (1, 1.0)):
        checks = [
            Check(field="robot_age", check="minimum", ok=True, value=0.0, expected=0),
            Check(field="robot_age", check="maximum", ok=False, value=99.0, expected=20),
            Check(field="rust_level", check="max_missing", ok=True, value=0.0, expected=0.1),
            Check(field="battery", check="max_missing", ok=False, value=0.01, expected=0.0),
            Check(field="", check="freshness", ok=age < 7, value=age * 86400, expected=7 * 86400),
        ]
        write(folder, ROBOTS, rows(ROBOTS, robots[part * 200 : part * 200 + 200]), part * 10, checks)
    computed = [
        {"id": each["id"], "at": each["at"], "rust_per_year": each["rust_level"] / (each["robot_age"] + 1)}
        for each in robots[:200]
    ]
    write(folder, ENGINEERED, rows(ENGINEERED, computed), 0, [])
    write(folder, VISITS, rows(VISITS, [{"id": f"r{n}", "at": 0, "minutes": n} for n in range(9)]))


class Parts:
    """The parts in a folder, as ``pantheon.features.parts`` has them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def copies(self, view: str) -> list[Path]:
        return sorted((self.folder / view).glob("*.parquet"))

    def lock(self, view: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def replace(self, view: str, part: str, content: bytes | None) -> None:
        if content is not None:
            name = f"{part.partition('-')[0]}-{hashlib.sha256(content).hexdigest()[:16]}.parquet"
            (self.folder / view / name).write_bytes(content)
        (self.folder / view / part).unlink()


def look(folder: Path, views: Sequence[View] = VIEWS, services: Sequence[Chosen] = (SERVICE,)) -> Look:
    """Answers about the parts in ``folder``."""
    return Look(lambda: views, lambda: services, Parts(folder).copies)


@contextlib.contextmanager
def service(look: Look, port: int = 0, folder: Path | None = None) -> Iterator[str]:
    """A stand-in for the service; yields its address. Its key is ``KEY``.

    Args:
        folder: of the parts, to forget and write rows.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(None)

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

        def answer(self, body: bytes | None) -> None:
            status = 200
            try:
                value = answered(look, self.path, body, folder)
            except Problem as error:
                status, value = refusal(error)
            if self.headers["Authorization"] != f"Bearer {KEY}":
                status, value = 401, {"error": {"message": "this needs the key of the feature store."}}
            content = value if isinstance(value, bytes) else msgspec.json.encode(value)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answered(look: Look, path: str, body: bytes | None, folder: Path | None) -> Any:
    """The answer to one request; what is online is what was known last."""
    path, _, query = path.partition("?")
    path, given = unquote(path), dict(parse_qsl(query))
    if path == "/catalogue":
        return look.catalogue()
    if path.startswith("/catalogue/"):
        return look.view(path.removeprefix("/catalogue/"))
    if path == "/at" and body is not None:
        return look.at(msgspec.json.decode(body, type=At))
    if path == "/online" and body is not None:
        return look.at(msgspec.convert({**json.loads(body), "time": "2026-03-12"}, At))
    if path == "/materialize" and body is not None:
        asked = json.loads(body)
        counts = {"read": 1200, "written": 3, "older": 1, "seconds": 0.1, "rebuilt": asked["all"]}
        return {"views": dict.fromkeys(asked["views"] or [view.name for view in look.views()], counts)}
    if path.endswith("/rows"):
        file = BytesIO()
        look.rows(path.split("/")[2], given["lacking"], given.get("since", "")).write_parquet(file)
        return file.getvalue()
    if folder is None or body is None:
        raise Problem(404, f"{path} is not answered.")
    if path == "/forget":
        asked = json.loads(body)
        done = remove(look.views(), Parts(folder), contextlib.nullcontext, asked["column"], asked["value"])
        return {"rows": done.rows, "parts": done.parts, "online": sum(map(len, done.keys.values()))}
    view, frame = path.split("/")[2], pl.read_parquet(BytesIO(body))
    write(folder, look.named(view), frame, 100 + len(list((folder / view).glob("*"))))
    return {"part": "one", "rows": frame.height, "new": frame.height, "checks": []}
