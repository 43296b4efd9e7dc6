"""A service of BentoML: ``BUNDLE=… bentoml serve bentoml_model:Served``."""

import os

import bentoml
from answering import Robots


@bentoml.service(workers=1)
class Served:
    def __init__(self) -> None:
        self.robots = Robots(os.environ["BUNDLE"])

    @bentoml.api
    async def predict(self, payload: list[dict]) -> list[int]:
        return self.robots.rows(payload).tolist()
