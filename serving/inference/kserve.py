"""Have KServe predict (``VARIANT=kserve``): protocol V2 with binary tensors, to KServe's ModelServer.

The endpoint checks and encodes the rows, and makes the answer of what KServe returns: the outputs of the ONNX graph.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import numpy as np
import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError
from urllib3.exceptions import TimeoutError as NoTime

from pantheon.errors import PantheonError
from pantheon.web.client import problem_of
from serving.inference.tensors import BOOL, FLOATS, INTEGERS
from serving.inference.v2 import LENGTH
from serving.model.predictor import SECONDS, BrokenBundle, Predictor, TooSlow
from serving.problems import Problem

CONNECTIONS = 32  # that are kept open
LOAD_SECONDS = 60.0  # for KServe to load a version
CONNECT_SECONDS = 1.0
LATE_SECONDS = 0.5  # that KServe may take to say that a model had no answer
RETRY = (("retry-after", "2"),)
_KINDS = {**FLOATS, **INTEGERS, BOOL: "?"}


class Away(Exception):
    """KServe does not answer; the message is why."""


class Kserve:
    """A KServe ModelServer. Thread-safe.

    Args:
        address: such as ``http://127.0.0.1:8087``.
        token: that it wants.

    Attributes:
        problem: why it did not answer the last request; empty if it did.
    """

    def __init__(self, address: str, token: str) -> None:
        parts = urlsplit(address)
        if parts.scheme != "http" or not parts.hostname:
            raise PantheonError(f"ENDPOINT_KSERVE is {address!r}.", "Use an address such as http://127.0.0.1:8087.")
        self.address, self.problem = address.rstrip("/"), ""
        self._headers = {"Authorization": f"Bearer {token}", "Host": parts.netloc}
        self._pool = urllib3.HTTPConnectionPool(parts.hostname, parts.port or 80, maxsize=CONNECTIONS)

    def is_ready(self) -> bool:
        """Return whether it answers."""
        try:
            return self._send("GET", "/v2/health/ready", CONNECT_SECONDS).status == 200
        except Away:
            return False

    def open(self, folder: Path, model: str, version: str, since: str = "") -> "Forwarded":
        """Return a version that this KServe predicts; see ``Predictor``."""
        return Forwarded(self, folder, model, version, since)

    def load(self, name: str, seconds: float) -> str:
        """Have a version loaded if it is not; return why it cannot be, or nothing.

        Args:
            name: ``MODEL-VERSION``.

        Raises:
            Away: it does not answer within ``seconds``.
        """
        answer = self._send("POST", f"/v2/repository/models/{quote(name, safe='')}/load", seconds)
        return "" if answer.status == 200 else said(answer)

    def infer(self, name: str, given: str, wanted: list[str], features: Any, seconds: float) -> BaseHTTPResponse:
        """Return KServe's answer for a float32 matrix: its HTTP response, of any status.

        Args:
            name: ``MODEL-VERSION``.
            given, wanted: the names of the graph's input and outputs.
            seconds: for the prediction.

        Raises:
            Away: it does not answer.
        """
        data = np.ascontiguousarray(features, dtype="<f4").tobytes()
        tensor = {
            "name": given,
            "shape": features.shape,
            "datatype": "FP32",
            "parameters": {"binary_data_size": len(data)},
        }
        outputs = [{"name": each, "parameters": {"binary_data": True}} for each in wanted]
        text = msgspec.json.encode({"inputs": [tensor], "outputs": outputs, "parameters": {"seconds": seconds}})
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))}
        path = f"/v2/models/{quote(name, safe='')}/infer"
        return self._send("POST", path, seconds + LATE_SECONDS, text + data, headers)

    def _send(
        self, method: str, path: str, seconds: float, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> BaseHTTPResponse:
        end, again = monotonic() + seconds, True
        while True:
            left = max(0.001, end - monotonic())
            time = urllib3.Timeout(connect=min(CONNECT_SECONDS, left), read=left)
            try:
                answer = self._pool.urlopen(
                    method, path, body, {**self._headers, **(headers or {})}, False, False, timeout=time
                )
            except (HTTPError, OSError) as error:
                # a kept-alive connection may have ended with the KServe before: a prediction may be asked twice
                if again and isinstance(error, ProtocolError) and not isinstance(error, (NewConnectionError, NoTime)):
                    again = False
                    continue
                self.problem = problem_of(error, round(seconds, 1))
                raise Away(self.problem) from None
            self.problem = ""
            return answer


class Forwarded(Predictor):
    """A version of a model whose predictions KServe computes. It has the signature, but not the ONNX graph."""

    def __init__(self, kserve: Kserve, folder: Path, model: str, version: str, since: str = "") -> None:
        self._kserve, self._name = kserve, f"{model}-{version}"
        super().__init__(folder, model, version, since)

    def _open(self, path: Path) -> None:
        entry = self.signature.raw["onnx"]
        self._input, self._outputs = entry["input"], list(entry["outputs"])

    def _try(self) -> None:
        """Have KServe load this version. If it does not answer, it loads it as soon as it does."""
        try:
            why = self._kserve.load(self._name, LOAD_SECONDS)
        except Away:
            return
        if why:
            raise BrokenBundle(f"KServe: {why}")

    def results(self, features: Any, deadline: float) -> list[Any]:
        """As of ``Predictor``; raises Problem 503, too, if KServe does not answer."""
        try:
            answer = self._ask(features, deadline)
            if answer.status == 404:  # the alias has moved on, and KServe was faster than the endpoint
                if why := self._kserve.load(self._name, self._left(deadline)):
                    raise Problem(503, f"KServe cannot load version {self.version}: {why}", headers=RETRY)
                answer = self._ask(features, deadline)
        except Away as away:
            raise Problem(503, f"KServe does not answer: {away}.", headers=RETRY) from None
        if answer.status == 200:
            return outputs(answer, self._outputs)
        if answer.status == 504:
            raise TooSlow(self.version)
        why = said(answer)
        raise Problem(422, why) if answer.status in (400, 422) else Problem(503, f"KServe: {why}", headers=RETRY)

    def _ask(self, features: Any, deadline: float) -> BaseHTTPResponse:
        return self._kserve.infer(self._name, self._input, self._outputs, features, self._left(deadline))

    def _left(self, deadline: float) -> float:
        """Return the seconds until the deadline, at most ``SECONDS``; raises TooSlow if there are none."""
        left = min(SECONDS, deadline - monotonic())
        if left <= 0:
            raise TooSlow(self.version)
        return left


def outputs(answer: BaseHTTPResponse, wanted: list[str]) -> list[Any]:
    """Return the tensors of an answer as arrays, in the order of ``wanted``.

    Raises:
        Problem: 503, they are not in the answer.
    """
    try:
        length = int(answer.headers[LENGTH])
        place, found = length, {}
        for tensor in msgspec.json.decode(answer.data[:length])["outputs"]:
            kind = np.dtype(_KINDS[tensor["datatype"]])
            flat = np.frombuffer(answer.data, kind, math.prod(tensor["shape"]), place)
            found[tensor["name"]] = flat.reshape(tensor["shape"])
            place += flat.nbytes
        return [found[name] for name in wanted]
    except (KeyError, ValueError, TypeError, msgspec.DecodeError) as error:
        raise Problem(503, f"KServe's answer cannot be read: {type(error).__name__}: {error}.") from None


def said(answer: BaseHTTPResponse) -> str:
    """Return what KServe says in an error."""
    try:
        value = msgspec.json.decode(answer.data)
        return str(value.get("error") or value.get("detail"))[:500]
    except (msgspec.DecodeError, AttributeError):
        return f"status {answer.status}"
