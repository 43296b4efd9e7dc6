"""A custom runtime of MLServer, V2 protocol: a column for each input."""

from answering import Robots
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Served(MLModel):
    async def load(self) -> bool:
        self.robots = Robots(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        age, rust, battery = payload.inputs
        answer = self.robots.columns(
            NumpyCodec.decode_input(age), NumpyCodec.decode_input(rust), StringCodec.decode_input(battery)
        )
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("label", answer)])
