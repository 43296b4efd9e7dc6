"""The versions of all models as models of KServe, named ``MODEL-VERSION``.

KServe has no versions of its own ("Model versioning not supported yet"), so each is a model. They are those that the
endpoint has, too: what aliases and policies name, and what a request to load names (``Models``).
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import numpy as np
from fastapi import HTTPException
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelRepository
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.utils.numpy_codec import from_np_dtype
from kserve.utils.utils import generate_uuid

from serving.inference.models import Hosted, Models
from serving.model.predictor import SECONDS, Predictor, TooSlow
from serving.problems import Problem

THREADS = 16  # predictions at a time: a model that never ends must not hold up the others

_threads = ThreadPoolExecutor(THREADS, "predict")
_loading = ThreadPoolExecutor(1, "load")


class Version(Model):  # type: ignore[misc]
    """One version of a model: float32 features in, the outputs of its ONNX graph out, as protocol V2 has them."""

    def __init__(self, name: str, predictor: Predictor) -> None:
        super().__init__(name)
        self.predictor, self.ready = predictor, True
        self.onnx: dict[str, Any] = predictor.signature.raw["onnx"]

    async def predict(self, payload: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Answer an ``InferRequest`` with an ``InferResponse``; ``SECONDS`` among its parameters is the time for it.

        Raises:
            HTTPException: 400, 422 or 504, in words.
        """
        if not isinstance(payload, InferRequest) or len(payload.inputs) != 1:
            raise HTTPException(400, "Send one tensor of protocol V2; the endpoint answers rows.")
        features = payload.inputs[0].as_numpy()
        if features.ndim != 2 or features.shape[1] != len(self.predictor.signature.fields):
            expected = f"[rows, {len(self.predictor.signature.fields)}]"
            raise HTTPException(400, f"The tensor must have the shape {expected}, not {list(features.shape)}.")
        seconds = min(SECONDS, float((payload.parameters or {}).get("seconds", SECONDS)))
        loop, deadline = asyncio.get_running_loop(), monotonic() + seconds
        try:
            found = await loop.run_in_executor(_threads, self.predictor.results, features.astype(np.float32), deadline)
        except TooSlow as late:
            raise HTTPException(504, late.message) from None
        except Problem as problem:
            raise HTTPException(problem.status, problem.message) from None
        return InferResponse(
            payload.id or generate_uuid(),
            self.name,
            [_tensor(name, value) for name, value in zip(self.onnx["outputs"], found, strict=True)],
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )

    def get_input_types(self) -> list[dict[str, Any]]:
        columns = len(self.predictor.signature.fields)
        return [{"name": self.onnx["input"], "datatype": "FP32", "shape": [-1, columns]}]


class Repository(ModelRepository):  # type: ignore[misc]
    """KServe's view of ``Models``."""

    def __init__(self, models: Models) -> None:
        super().__init__()
        self.hosted = models

    def get_model(self, name: str) -> Version | None:
        """Return a loaded version; None if it is not loaded."""
        model, version = parts(name)
        predictor = self.hosted.ready(self.hosted.hosted.get(model) or Hosted(model), version) if version else None
        return Version(name, predictor) if predictor else None

    def get_models(self) -> dict[str, Version]:
        """Return the versions that aliases and policies name."""
        return {
            f"{hosted.name}-{version}": Version(f"{hosted.name}-{version}", predictor)
            for hosted in self.hosted.hosted.values()
            for version, predictor in hosted.loaded.items()
        }

    async def load(self, name: str) -> None:
        """Load a version if it is not loaded; raises HTTPException 404 or 503 with the reason."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(_loading, self._load, name)
        except Problem as problem:
            raise HTTPException(problem.status, problem.message) from None

    def _load(self, name: str) -> None:
        model, version = parts(name)
        if self.get_model(name):
            return
        self.hosted.refresh()  # an alias may name it by now: then it is loaded for as long as the alias does
        self.hosted.pinned(self.hosted.hosted.get(model) or Hosted(model), version)


class Extension(ModelRepositoryExtension):  # type: ignore[misc]
    """The routes that load and unload; errors are said as they are."""

    async def load(self, model_name: str) -> None:
        await self._model_registry.load(model_name)

    async def unload(self, model_name: str) -> None:
        raise HTTPException(501, "A version is dropped when no alias and no policy of the store names it any more.")


def parts(name: str) -> tuple[str, str]:
    """Return the model and the version that a name means; empty if it is not such a name."""
    model, _, version = name.rpartition("-")
    return (model, version) if model and version.isdecimal() else ("", "")


def _tensor(name: str, value: Any) -> Any:
    """Return an output of the model as KServe has it; raises HTTPException 422 if it is not a tensor."""
    datatype = from_np_dtype(value.dtype) if isinstance(value, np.ndarray) else None
    if datatype is None:
        raise HTTPException(422, f'The model\'s output "{name}" is not a tensor.')
    tensor = InferOutput(name, list(value.shape), datatype)
    tensor.set_data_from_numpy(np.ascontiguousarray(value), binary_data=True)
    return tensor
