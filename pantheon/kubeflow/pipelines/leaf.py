"""Runs a single step: a function in the warm interpreter, or an importer; with retries and ``kfp.local``'s cache."""

import contextlib
import json
import shutil
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
from kfp import dsl
from kfp.local import executor_input_utils, executor_output_utils, importer_handler, placeholder_utils

from pantheon.errors import PantheonError
from pantheon.files import read_json
from pantheon.kubeflow import disk
from pantheon.kubeflow.contract import Process
from pantheon.kubeflow.pipelines.cache import Cache
from pantheon.kubeflow.pipelines.definition import TYPES, Definition
from pantheon.kubeflow.pipelines.engine import Outputs, Stopped
from pantheon.kubeflow.pipelines.interpreter import Answer, Request
from pantheon.kubeflow.pipelines.records import Records, Step, dump
from pantheon.kubeflow.running import SOCKET, path_of
from pantheon.processes import ended

MODULE = "pantheon.kubeflow.pipelines.interpreter"
POLL_SECONDS = 0.01  # until the interpreter listens
START_SECONDS = 60.0  # on a busy machine, imports take long
REFUSED = 2  # exit status of a step whose input is wrong: repeating it cannot help


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Start(Protocol):
    """``Job.process``."""

    def __call__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path | None = None
    ) -> Process: ...


@dataclass
class Interpreter:
    """The warm Python of a run; started when it is first needed, and again if it was killed.

    Args:
        start: starts a process.
        python: of the environment in which steps run.
        folder: for its socket.
        preload: a key of ``PRELOAD`` in the module ``interpreter``, or empty.
    """

    start: Start
    python: str
    folder: Path
    log: Path
    environment: dict[str, str]
    preload: str = ""
    process: Process | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ensure(self) -> Process:
        """Start it, unless it runs."""
        with self.lock:
            if self.process is None or self.process.wait(0) is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / SOCKET).unlink(missing_ok=True)
                options = ["--preload", self.preload] if self.preload else []
                command = [self.python, "-P", "-m", MODULE, str(self.folder), *options]
                self.process = self.start(command, self.log, self.environment, self.folder)
            return self.process

    def run(self, request: Request, stopping: threading.Event) -> Answer:
        """Run a step to its end.

        Raises:
            PantheonError: the interpreter cannot be started, or ended.
            Stopped: the run is stopped; the step is being ended.
        """
        connection = self.connect(stopping)
        with connection, connection.makefile("rwb") as file:
            file.write(json.dumps(request).encode() + b"\n")
            file.flush()
            watcher = threading.Thread(target=self._watch, args=(connection, stopping), daemon=True)
            watcher.start()
            try:
                line = file.readline()
            except OSError:
                line = b""
        if stopping.is_set() and not line:
            raise Stopped
        if not line:
            code = self.ensure_ended()
            raise PantheonError(
                f"the process that runs the steps {ended(code)}, most likely because memory ran out.", "", 1
            )
        answer: Answer = json.loads(line)
        return answer

    def ensure_ended(self) -> int:
        with self.lock:
            code = self.process.wait(START_SECONDS) if self.process else 0
        return 128 - code if code and code > 128 else code or 0

    def _watch(self, connection: socket.socket, stopping: threading.Event) -> None:
        """Close the connection when the run must stop, which ends the step."""
        while not stopping.wait(1.0):
            if connection.fileno() < 0:
                return
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def connect(self, stopping: threading.Event) -> socket.socket:
        end = time.monotonic() + START_SECONDS
        while True:
            if stopping.is_set():
                raise Stopped
            process = self.ensure()
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                with path_of(self.folder) as path:
                    connection.connect(path)
                return connection
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
            if (code := process.wait(0)) is not None:
                raise PantheonError(
                    f"the Python of the steps {ended(code)} while it started; see the log {self.log.name}.", "", 1
                )
            if time.monotonic() > end:
                raise PantheonError(f"the Python of the steps did not start within {START_SECONDS:.0f} s.", "", 1)
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        with self.lock:
            if self.process is not None and self.process.wait(0) is None:
                self.process.stop()
            (self.folder / SOCKET).unlink(missing_ok=True)


@dataclass
class Steps:
    """Runs steps, ``at_once`` at a time.

    Args:
        folder: of the run; steps write below it.
        logs: a file for each step.
        cache: where outputs are found again; None: no caching.
        name: of the run, for placeholders.
    """

    definition: Definition
    records: Records
    interpreter: Interpreter
    folder: Path
    logs: Path
    stopping: threading.Event
    name: str
    cache: Cache | None
    at_once: int

    def __post_init__(self) -> None:
        self.slots = threading.BoundedSemaphore(self.at_once)
        self.unique = placeholder_utils.make_random_id()

    def __call__(self, name: str, task: Any, arguments: Outputs) -> Outputs:
        """Run one step; see ``engine.Leaf``."""
        component = self.definition.component(task)
        parameters = {key: value for key, value in arguments.items() if not _is_artifact(value)}
        step = Step(
            name=name,
            state="running",
            started=now(),
            inputs=json.loads(json.dumps(parameters, default=str)),
            log=f"{name}.log",
        )
        key = self.key(task, component, arguments)
        if key and self.cache and (known := self.cache.get(key)) is not None:
            self.say(step, "not run: the cache has the outputs of the same code with the same inputs")
            self.records.save(
                msgspec.structs.replace(step, state="done", cached=True, finished=step.started, outputs=dump(known))
            )
            return dict(known)
        policy, tries, clock = task.retry_policy, 0, time.monotonic()
        wait = policy.backoff_duration.seconds + policy.backoff_duration.nanos / 1e9
        with self.slots:
            while True:
                if self.stopping.is_set():
                    raise Stopped
                tries += 1
                step = msgspec.structs.replace(step, attempts=tries, state="running")
                self.records.save(step)
                try:
                    outputs, memory = self.attempt(name, task, component, arguments)
                except Stopped:
                    self.records.save(msgspec.structs.replace(step, state="interrupted", finished=now()))
                    raise
                except PantheonError as error:
                    disk.check(self.folder)  # for want of space, the run waits; the step has not failed
                    self.say(step, f"attempt {tries} failed: {error.cause}")
                    if tries <= policy.max_retry_count and error.status != REFUSED:
                        pause = wait * (policy.backoff_factor or 2.0) ** (tries - 1)
                        most = policy.backoff_max_duration.seconds or 3600
                        self.stopping.wait(min(pause, most))
                        continue
                    seconds = round(time.monotonic() - clock, 3)
                    note = f"attempt {tries}" if tries > 1 else ""
                    self.records.save(
                        msgspec.structs.replace(
                            step, state="failed", error=error.cause, finished=now(), seconds=seconds, note=note
                        )
                    )
                    raise
                break
        seconds = round(time.monotonic() - clock, 3)
        note = f"attempt {tries}" if tries > 1 else ""
        self.records.save(
            msgspec.structs.replace(
                step, state="done", finished=now(), seconds=seconds, memory=memory, outputs=dump(outputs), note=note
            )
        )
        if key and self.cache:
            for artifact in _artifacts(outputs):  # kfp's cache misses where a file is missing: metrics have none
                if not Path(artifact.uri).exists() and artifact.uri.startswith(str(self.folder)):
                    Path(artifact.uri).touch()
            self.cache.put(key, outputs)
        return outputs

    def say(self, step: Step, text: str) -> None:
        with (self.logs / step.log).open("a", encoding="utf-8") as file:
            file.write(f"{now()} {text}\n")

    def key(self, task: Any, component: Any, arguments: Outputs) -> str:
        """Return the key of a step in the cache; empty if it is not cached."""
        function = self.definition.functions.get(component.executor_label)
        if self.cache is None or function is None or not task.caching_options.enable_cache:
            return ""
        key: str = self.cache.compute_key(
            task.component_ref.name,
            function.image,
            [*function.command, function.name],
            arguments,
            function.environment,
            task.caching_options.cache_key or None,
        )
        return key

    def attempt(self, name: str, task: Any, component: Any, arguments: Outputs) -> tuple[Outputs, int]:
        """Start a step once, in an empty folder; return its outputs and the memory that it used, in bytes."""
        place = self.records.place(name)
        for folder in ("outputs", "work"):
            shutil.rmtree(place / folder, ignore_errors=True)
            (place / folder).mkdir(parents=True)
        (place / "error.json").unlink(missing_ok=True)
        if component.executor_label in self.definition.importers:
            self.say(self.records.steps[name], "an importer: it runs no code")
            return self.imported(component, arguments, place), 0
        function = self.definition.functions[component.executor_label]
        try:
            message = executor_input_utils.construct_executor_input(
                component, arguments, str(place / "outputs"), block_input_artifact=False
            )
            given = executor_input_utils.executor_input_to_dict(message, component)
            values = given.get("inputs", {}).get("parameterValues", {})
            for key in values:
                if component.input_definitions.parameters[key].parameter_type in (TYPES.LIST, TYPES.STRUCT):
                    values[key] = whole(values[key])
            [text] = placeholder_utils.replace_placeholders(
                ["{{$}}"], given, self.name, name, str(self.folder), self.unique
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise PantheonError(f"its inputs do not fit: {error}", "", REFUSED) from None
        source = place / "work" / "ephemeral_component.py"
        source.write_text(function.source, encoding="utf-8")
        request: Request = {
            "arguments": [
                "--component_module_path", str(source), "--executor_input", text,
                "--function_to_execute", function.name,
            ],
            "environment": function.environment,
            "folder": str(place / "work"),
            "log": str(self.logs / f"{name}.log"),
            "error": str(place / "error.json"),
        }  # fmt: skip
        answer = self.interpreter.run(request, self.stopping)
        if answer["code"]:
            if self.stopping.is_set():
                raise Stopped
            raise self.reason(place / "error.json", answer["code"])
        try:
            return executor_output_utils.get_outputs_for_task(message, component), answer["memory"]
        except (ValueError, TypeError, KeyError) as error:
            raise PantheonError(f"its outputs cannot be read: {error}", "", 1) from None

    def reason(self, file: Path, code: int) -> PantheonError:
        """Return why a step failed."""
        if file.exists():
            error = read_json(file)
            cause = str(error["cause"]).splitlines()[-1] if str(error["cause"]).strip() else "it failed"
            return PantheonError(cause, str(error["cure"]), REFUSED if error["final"] else 1)
        killed = ", most likely because memory ran out" if code == -9 else ""
        return PantheonError(f"its process {ended(code)}{killed}.", "", 1)

    def imported(self, component: Any, arguments: Outputs, place: Path) -> Outputs:
        """Return the artifact that an importer names."""
        importer = self.definition.importers[component.executor_label]
        message = executor_input_utils.construct_executor_input(
            component, arguments, str(place / "outputs"), block_input_artifact=True
        )
        uri = importer_handler.get_importer_uri(importer, message)
        if "://" not in uri and not Path(uri).exists():
            raise PantheonError(
                f"{uri} does not exist.", "Give the importer the path of a file in the deployment's state folder."
            )
        kind = importer_handler.get_artifact_class_from_schema_title(importer.type_schema.schema_title)
        given = executor_input_utils.executor_input_to_dict(message, component)
        metadata = placeholder_utils.recursively_resolve_json_dict_placeholders(
            executor_output_utils.pb2_struct_to_python(importer.metadata),
            given,
            self.name,
            "importer",
            str(self.folder),
            self.unique,
            self.unique,
        )
        return {"artifact": kind(name="artifact", uri=uri, metadata=metadata)}


def whole(value: Any) -> Any:
    """Return a list or object with its whole numbers as such: protobuf has only floats, and KFP's backend does this."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(one) for one in value]
    return {key: whole(one) for key, one in value.items()} if isinstance(value, dict) else value


def _is_artifact(value: Any) -> bool:
    return isinstance(value, dsl.Artifact) or (
        isinstance(value, list) and any(isinstance(one, dsl.Artifact) for one in value)
    )


def _artifacts(outputs: Outputs) -> list[Any]:
    found = []
    for value in outputs.values():
        found += [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dsl.Artifact)]
    return found
