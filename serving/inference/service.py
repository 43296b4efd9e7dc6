"""The endpoint, an application for ``pantheon.web.server``: routes, keys, and the way of each request.

Small requests for predictions are answered where they arrive (``quick``); all others on the loop or in threads.
"""

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from msgspec import to_builtins

from pantheon.keys import Key
from pantheon.predictions.ids import new_id
from pantheon.predictions.spool import Spool
from pantheon.routing.choose import Choice
from pantheon.store import open_store
from pantheon.web.messages import Quick, Response
from pantheon.web.server import Request
from serving.endpoint import body
from serving.endpoint.dispatch import Answered, Handler, dispatch
from serving.endpoint.guard import Guard, fenced, repeated
from serving.endpoint.rows import wants_probabilities
from serving.features import push
from serving.features.joining import Online
from serving.features.push import Push
from serving.inference import feedback, status, v2
from serving.inference.access import Keys
from serving.inference.answering import Answering, Call, Explain
from serving.inference.journal import Journal, Mode, Origin, trace_of
from serving.inference.metrics import CONTENT_TYPE, Metrics
from serving.inference.models import Hosted, Models
from serving.inference.openapi import document
from serving.inference.shadows import Shadows
from serving.inference.targets import PREDICTIONS, Target, target
from serving.inference.watch import Watch
from serving.model.predictor import Predictor
from serving.problems import Problem
from serving.state import State

if TYPE_CHECKING:
    from serving.inference.kserve import Kserve  # imports urllib3

NAME = "endpoint"
REQUESTED = "requested"  # the reason of a choice: the request named the version
PUSHING = 4  # pushes that wait for the feature store at one time
THREADS = 4  # for loading versions and for documents
JSON = "application/json"


class Endpoint:
    """The service.

    Args:
        state: the deployment's state folder.
        port: the port in its address.
        hosts: additional allowed hosts.
        tokens: a folder with the tokens of the deployment's own services.
        spool: where the prediction log is written first; None: nowhere.
        mode: whether an answer that cannot be logged goes out; see ``Journal``.
        explain: explains predictions; None: they are not explained.
        kserve: predicts; None: this process does.
        online: the features of entities; None: they cannot be looked up.
        push: forwards values of features; None: there is nobody to forward them to.
        environment: of the process of the shadows, besides that of this one.
    """

    def __init__(
        self,
        state: Path,
        port: int,
        hosts: Iterable[str] = (),
        *,
        tokens: Path,
        spool: Spool | None,
        mode: Mode = "required",
        explain: Explain | None = None,
        kserve: "Kserve | None" = None,
        online: Online | None = None,
        push: Push | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.kserve, self.push, self.online = State(state), kserve, push, online
        store = open_store(state, retry_seconds=0)  # it is polled again soon
        self.models = Models(self.folder, store, kserve.open if kserve else Predictor)
        self.keys = Keys(state, tokens)
        self.metrics = Metrics()
        self.journal, self.shadows = Journal(spool, mode, self.metrics), Shadows(self.metrics, environment)
        if online:
            online.count = self.metrics.count
        self.answering = Answering(self.models, self.journal, self.shadows, self.metrics, explain, bool(kserve), online)
        self.guard = Guard(port, (f"{NAME}:{port}", f"{NAME}.internal:{port}", *hosts))  # names in containers
        self.threads = ThreadPoolExecutor(THREADS, "models")
        self.pushing = ThreadPoolExecutor(PUSHING, "push")
        # two threads: a store that does not answer must not hold up a revoked key
        self.watches = Watch(self.keys.refresh), Watch(self.models.refresh)
        self.unkeyed: dict[str, tuple[str, Handler]] = {  # they need no key, or look at it themselves
            "/": ("GET", self.alive),
            "/healthz": ("GET", self.healthz),
            "/v2/health/live": ("GET", self.live),
            "/v2/health/ready": ("GET", self.ready),
            "/metrics": ("GET", self.measured),
            "/feedback": ("POST", self.feedback),
            "/push": ("POST", self.pushed),
        }
        self.routes: dict[str, tuple[str, Handler]] = {
            "/signature": ("GET", self.signature),
            "/openapi.json": ("GET", self.openapi),
            "/v1/models": ("GET", self.names),
            "/v2": ("GET", self.server),
            "/v2/": ("GET", self.server),
        }

    def start(self) -> None:
        """Load keys and models, and follow their changes."""
        self.keys.refresh()
        self.models.refresh()
        for watch in self.watches:
            watch.start()
        self.shadows.start()

    def stop(self) -> None:
        for watch in self.watches:
            watch.stop()
        self.shadows.stop()
        self.journal.close()
        if self.online:
            self.online.valkey.close()

    def refuse(self, status: int, message: str) -> Response:
        return fenced(Problem(status, message).response())

    async def __call__(self, request: Request) -> Response:
        response = await self.answer(request)
        if response.status >= 400 and request.path.startswith("/v2") and response.body.startswith(b'{"error": {'):
            return v2.error(response)
        return response

    async def answer(self, request: Request) -> Response:
        """Answer a request; errors are in the form that all protocols but V2 have."""
        if why := self.guard.refusal(request):
            return self.refuse(403, why)
        if name := repeated(request.query):
            return self.refuse(400, f'The query has "{name}" more than once.')
        if found := self.unkeyed.get(request.path):
            return fenced(await dispatch(request, *found, NAME))
        if found := self.routes.get(request.path):
            return fenced(await dispatch(request, found[0], partial(self._with_key, found[1]), NAME))
        if to := target(request.path):
            handler = self.predict if to.verb in PREDICTIONS else self.about
            return fenced(await dispatch(request, to.method, partial(handler, to), NAME))
        return self.refuse(404, f"There is no {request.path[:100]}; /openapi.json lists the routes.")

    def quick(self, request: Request) -> Quick | None:
        """Return a function that answers a plain request for predictions; None for all others, and for refused ones."""
        if request.method != "POST" or request.query or request.header("content-type") != JSON:
            return None
        to = target(request.path)
        if to is None or to.verb not in PREDICTIONS or to.verb == "explain" or self.guard.refusal(request):
            return None
        if to.verb == "infer" and v2.LENGTH in request.headers:
            return None
        try:
            hosted = self.models.of(to.model)
            key = self.keys.scoped(request, hosted.name)
            call = self.call(to, hosted, key, request)
            if call is None:
                return None
            self.keys.count(key)
        except Problem:  # which is reported from the loop
            return None
        return partial(self.answering.run, call)

    def call(self, to: Target, hosted: Hosted, key: Key, request: Request) -> Call | None:
        """Return a new call, with the version that answers it; None if that is not loaded."""
        origin = Origin(new_id(), key.name, trace_of(request.header("traceparent")))
        if to.version:
            choice = Choice(to.version, to.version, REQUESTED)
        else:
            choice = hosted.chooser.choose(origin.id, request.headers, key.name)
        predictor = self.models.ready(hosted, choice.version)
        return Call(to, hosted, predictor, choice, origin) if predictor else None

    async def predict(self, to: Target, request: Request) -> Response:
        """Answer a request for predictions on the loop."""
        query = dict(parse_qsl(request.query))
        name = to.model or query.get("model", "") or self.models.default
        key = self.keys.need(request, name)
        hosted = self.models.of(name)
        call = self.call(to, hosted, key, request)
        if call is None:
            await self.predictor(hosted, to.version)  # now it is loaded, or this raises Problem
            call = self.call(to, hosted, key, request)
        if call is None:
            raise Problem(503, "The version was dropped while the request waited.", headers=(("retry-after", "1"),))
        call.json_bytes = request.header(v2.LENGTH)
        if not call.json_bytes:
            if to.verb != "infer" or "content-type" in request.headers:  # Triton's client sends JSON without a type
                body.need_json(request)
        elif to.verb != "infer":
            raise Problem(400, "Only protocol V2 has binary data.", field=v2.LENGTH)
        call.probabilities = wants_probabilities(request.query)
        result = self.answering.run(call, await body.read(request))
        return await asyncio.wrap_future(result) if isinstance(result, Future) else result

    async def feedback(self, request: Request) -> Answered:
        key = self.keys.need(request)
        body.need_json(request)
        said = feedback.read(await body.read(request, feedback.LIMIT))
        self.journal.feedback(said, key.name)
        return {"accepted": 1}, None

    async def pushed(self, request: Request) -> Answered:
        self.keys.need_push(request)
        if self.push is None or not self.folder.route.features:
            raise Problem(404, "This deployment has no feature store: the tier hephaestus adds it.")
        body.need_json(request)
        given = push.read(await body.read(request, push.LIMIT))
        answer = await asyncio.get_running_loop().run_in_executor(self.pushing, self.push.send, given)
        self.metrics.count("pushed")
        return answer, None

    async def predictor(self, hosted: Hosted, version: str) -> Predictor:
        """Return a version of a model, loaded if a request names it; raises Problem."""
        if found := self.models.ready(hosted, version):
            return found
        if not version:
            why = "; ".join(filter(None, hosted.refused.values())) or "it has no champion."
            raise Problem(503, f'The model "{hosted.name}" cannot answer: {why}', headers=(("retry-after", "2"),))
        return await asyncio.get_running_loop().run_in_executor(self.threads, self.models.pinned, hosted, version)

    async def about(self, to: Target, request: Request) -> Answered | Response:
        """Answer a question about a model: its metadata, and whether it is ready."""
        self.keys.need(request, to.model)
        hosted = self.models.of(to.model)
        predictor = self.models.ready(hosted, to.version)
        if to.verb == "describe":
            predictor = predictor or await self.predictor(hosted, to.version)
            return v2.model(predictor, sorted(hosted.loaded, key=int)), predictor
        if predictor is None:
            what = f"version {to.version} of {hosted.name}" if to.version else f'"{hosted.name}"'
            raise Problem(503, f"The model {what} is not ready.", headers=(("retry-after", "2"),))
        return {"name": hosted.name, "ready": True}, predictor

    async def _with_key(self, handler: Handler, request: Request) -> Answered | Response:
        name = dict(parse_qsl(request.query)).get("model", "")
        self.keys.need(request, name)
        return await handler(request)

    def asked(self, request: Request) -> tuple[Hosted, Key]:
        """Return the model that the query names, or the default one, and the request's key."""
        key = self.keys.of(request)
        hosted = self.models.of(dict(parse_qsl(request.query)).get("model", ""))
        if not key.opens(hosted.name):
            raise Problem(403, f'The API key "{key.name}" is not for the model "{hosted.name}".', got=hosted.name)
        return hosted, key

    async def signature(self, request: Request) -> Answered:
        hosted, _ = self.asked(request)
        predictor = await self.predictor(hosted, "")
        features = {"features": to_builtins(predictor.features)} if predictor.features else {}
        return predictor.signature.raw | features, predictor

    async def openapi(self, request: Request) -> Answered:
        key = self.keys.of(request)
        opened = [hosted for name, hosted in self.models.hosted.items() if key.opens(name)]
        predictors = [hosted.predictor for hosted in opened if hosted.predictor]
        loop = asyncio.get_running_loop()
        pushes = self.push is not None and bool(self.folder.route.features)
        return await loop.run_in_executor(self.threads, document, predictors, self.models.default, pushes), None

    async def names(self, request: Request) -> Answered:
        key = self.keys.of(request)
        return {"models": [name for name in sorted(self.models.hosted) if key.opens(name)]}, None

    async def server(self, request: Request) -> Answered:
        return v2.server(), None

    async def alive(self, request: Request) -> Answered:
        return {"status": "alive"}, None

    async def live(self, request: Request) -> Answered:
        return {"live": True}, None

    async def ready(self, request: Request) -> Answered:
        if not status.is_ready(self.models):
            raise Problem(503, "No model is ready.", headers=(("retry-after", "2"),))
        if self.kserve and not await asyncio.get_running_loop().run_in_executor(self.threads, self.kserve.is_ready):
            raise Problem(503, f"KServe does not answer: {self.kserve.problem}.", headers=(("retry-after", "2"),))
        return {"live": True, "ready": True}, None

    async def healthz(self, request: Request) -> Answered:
        """Return 200 while the server runs: a deployment without a model is healthy, because it may still train one."""
        return status.health(self.models, self.keys, self.journal, self.kserve, self.online), None

    async def measured(self, request: Request) -> Response:
        self.keys.need_metrics(request)
        text = self.metrics.text(status.gauges(self.models, self.keys, self.journal))
        return Response(200, text.encode(), [("content-type", CONTENT_TYPE), ("cache-control", "no-store")])
