"""Ray Serve."""
import asyncio, os, sys
from typing import Any
import numpy as np
import ray
from ray import serve
from starlette.requests import Request
from network import CORES, Labels, Network, decode

@serve.deployment(num_replicas=int(os.environ.get("NR", CORES)), max_ongoing_requests=32, ray_actor_options={"num_cpus": 1})
class Classify:
    def __init__(self):
        self._labels = Labels(); self._network = Network(int(os.environ.get("NT", 1)), max_batch=8)
    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0)
    async def infer(self, pics):
        logits = self._network.infer(np.stack(pics))
        return [self._labels.answer(r) for r in logits]
    async def __call__(self, request: Request) -> Any:
        data = await request.body()
        return await self.infer(decode(data))
app = Classify.bind()
if __name__ == "__main__":
    ray.init(num_cpus=max(CORES,2), include_dashboard=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(app, route_prefix="/predict", blocking=True)
