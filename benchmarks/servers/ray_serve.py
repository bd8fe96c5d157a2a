"""Ray Serve: one replica a core, each decoding and inferring on one thread.

python ray_serve.py PORT
"""

import sys
from typing import Any

import ray
from network import CORES, Labels, Network, decode
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=CORES, max_ongoing_requests=16, ray_actor_options={"num_cpus": 1})
class Classify:
    """Bytes to an answer."""

    def __init__(self) -> None:
        self._labels = Labels()
        self._network = Network(1)

    async def __call__(self, request: Request) -> dict[str, Any]:
        """One picture; the raw body."""
        return self._labels.answer(self._network.infer(decode(await request.body())[None])[0])


if __name__ == "__main__":
    ray.init(num_cpus=CORES, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Classify.bind(), route_prefix="/predict", blocking=True)
