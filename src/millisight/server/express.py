"""The short way through the app, for the requests that matter."""

from collections.abc import Sequence

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from millisight.errors import MillisightError
from millisight.server.problems import on_http, on_known


class Express:
    """ASGI app: ``POST`` to one of ``routes`` goes straight to its endpoint, which takes a request
    and gives a response; all else goes to the ``app`` given.

    FastAPI's layers cost more processor time than all that is done here in Python. The routes stay
    in the app too, for the documentation and for requests that come by another prefix.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[APIRoute]) -> None:
        self.app = app
        self._routes = {route.path: route for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        posted = scope["type"] == "http" and scope["method"] == "POST"
        route = self._routes.get(scope["path"]) if posted else None
        if route is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive)
        try:
            response = await route.endpoint(request)
        except MillisightError as error:
            response = on_known(request, error)
        except HTTPException as error:
            response = on_http(request, error)
        await response(scope, receive, send)
