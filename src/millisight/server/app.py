"""The app factory: routes, middleware, error handlers and lifespan put together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp

from millisight.bundle import Bundle
from millisight.server import about, admin, dialects, embed, explain, metrics, predict
from millisight.server.about import STATIC, Static
from millisight.server.access import AccessLog
from millisight.server.boundary import Boundary
from millisight.server.dialects.grpc_port import grpc_server
from millisight.server.door import Door, read_keys
from millisight.server.express import Express
from millisight.server.hangup import reload_on_hangup
from millisight.server.problems import add_error_handlers
from millisight.server.protocol import DRAIN
from millisight.server.service import Load, Service
from millisight.settings import Settings, listed

DESCRIPTION = "Send a picture, get its most likely classes. Everything happens on this machine."

PICTURES = [predict.route, explain.route, embed.route]
"""The routes that a picture is sent to."""


def create_app(
    bundles: Mapping[str, Bundle],
    settings: Settings,
    *,
    load: Load | None = None,
    background: bool = True,
    reload: Callable[[], None] | None = None,
    on_ready: Callable[[], None] = lambda: None,
    on_failure: Callable[[], None] = lambda: None,
) -> FastAPI:
    """An ASGI app that serves ``bundles``, by their names; the first answers who names none.

    They are loaded when the server starts the app, not here; then ``on_ready`` is called, or
    ``on_failure`` if that fails. In the ``background`` the health routes answer meanwhile;
    otherwise the start waits for them, and fails with them. ``load`` makes a classifier where it
    is not simply made from a bundle and ``settings``; ``reload`` is called where this process is
    not the one that exchanges the models. Without it, SIGHUP does. Raises ``SettingsError`` for
    API keys that cannot be used, and ``ExtraMissing``.
    """
    service = Service(bundles, settings, load=load)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Callable[[], None]]]:
        async with _running(service, on_ready, on_failure, background=background):
            if reload is None:
                reload_on_hangup(service)
            yield {DRAIN: service.drain}

    # The documentation comes from the package, not from a content network: no network needed.
    # ReDoc is left out because its page fetches a logo from its makers' host.
    app = FastAPIOffline(
        redoc_url=None,
        title="millisight",
        description=DESCRIPTION,
        lifespan=lifespan,
        telemetry=service.observer.tracing.telemetry,
        redirect_slashes=False,
        routes=[*PICTURES, *dialects.routes],
    )
    app.state.service = service
    app.state.reload = reload
    for module in (about, metrics, admin):
        app.include_router(module.router)
    app.mount("/static", Static(directory=STATIC), name="static")
    add_error_handlers(app)
    stack = Boundary(_guarded(_layers(app), settings), service.observer.responded)
    app.middleware_stack = AccessLog(stack) if settings.access_log else stack
    return app


@asynccontextmanager
async def _running(
    service: Service,
    on_ready: Callable[[], None],
    on_failure: Callable[[], None],
    *,
    background: bool,
) -> AsyncIterator[None]:
    """``service`` from its start to its stop."""
    tracing = service.observer.tracing
    tracing.start()
    starting = asyncio.create_task(service.start(on_ready, on_failure))
    if not background:
        await starting
        service.ready()
    async with grpc_server(service):
        yield
    await starting
    await service.stop()
    await tracing.stop()


def _layers(app: FastAPI) -> ASGIApp:
    """FastAPI's own, but for the outermost: it would answer what nobody foresaw in plain text,
    before ``Boundary`` could."""
    stack = app.build_middleware_stack()
    return stack.app if isinstance(stack, ServerErrorMiddleware) else stack


def _guarded(app: ASGIApp, settings: Settings) -> ASGIApp:
    """``app`` behind what the settings ask for: keys, and other origins."""
    # Pictures go no further through FastAPI's layers.
    app = Express(app, PICTURES)
    if keys := read_keys(settings):
        app = Door(app, keys)
    if origins := listed(settings.allow_origins):
        app = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["ETag", "Retry-After", "Server-Timing", "X-Request-Id"],
        )
    return app
