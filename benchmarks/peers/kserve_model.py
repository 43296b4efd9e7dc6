"""``python kserve_model.py BUNDLE --http_port PORT --enable_grpc false``: KServe's ModelServer, V1 protocol."""

import sys

BUNDLE = sys.argv.pop(1)  # kserve parses the rest when it is imported

from answering import Robots  # noqa: E402
from kserve import Model, ModelServer, model_server  # noqa: E402


class Served(Model):
    def __init__(self):
        super().__init__("robots")
        self.robots = Robots(BUNDLE)
        self.ready = True

    def predict(self, payload, headers=None):
        return {"predictions": self.robots.rows(payload["instances"]).tolist()}


if __name__ == "__main__":
    args, _ = model_server.parser.parse_known_args()
    ModelServer(http_port=args.http_port, enable_grpc=False, workers=1).start([Served()])
