"""What other servers' clients speak, answered by the same models."""

from starlette.routing import Route

from millisight.server.dialects import openinference, tfserving, torchserve
from millisight.server.dialects.described import Described

_described: list[Described] = [*openinference.routes, *torchserve.routes, *tfserving.routes]

# So some ask whether a server is well.
_heads = [
    Route(one.path, one.endpoint, methods=["HEAD"]) for one in _described if "GET" in one.methods
]

routes: list[Route] = [*_described, *_heads]
"""All of them."""
