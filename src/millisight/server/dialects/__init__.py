"""What other servers' clients speak, answered by the same models."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from fastapi.routing import APIRoute
from starlette.routing import Route

from millisight.server.dialects import openinference, tfserving, torchserve


def _answering(described: Sequence[APIRoute]) -> Iterator[Route]:
    """The same without FastAPI, which does nothing for them but to describe them: one route for all
    methods of a path, and ``HEAD`` where there is ``GET``."""
    for path, those in groupby(described, lambda one: one.path):
        same = list(those)
        methods = [method for one in same for method in one.methods or ()]
        yield Route(path, same[0].endpoint, methods=methods)


_described = [*openinference.routes, *torchserve.routes, *tfserving.routes]

routes: list[Route] = [*_answering(_described), *_described]
"""All of them; those come first that are to answer."""
