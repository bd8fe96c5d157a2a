"""The page, the health checks and what there is to know about the models."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from millisight.errors import NoReport, NotReady
from millisight.server.problems import GUARDED, Problem
from millisight.server.served import Served
from millisight.server.service import Service

STATIC = Path(__file__).parent / "static"

# Everything the page uses comes from this server; blob: is the picture the user has chosen.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}

# The report is one file: its style and its pictures are within, and it has nothing to run.
_REPORT_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "no-cache",
}

router = APIRouter()


class Static(StaticFiles):
    """The page's files; browsers ask each time whether they have the newest."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        """As without this class, but for the header: after an update, no old part meets a new."""
        response = super().file_response(*args, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


class Live(BaseModel):
    """The process answers and its dispatcher runs."""

    live: bool = True


class Ready(BaseModel):
    """Every model is warmed up and takes pictures."""

    ready: bool = True


class ServedBody(BaseModel):
    """One of the models that are served: what ``?model=`` asks for, and what that is."""

    name: str
    digest: str
    description: str


class ModelsBody(BaseModel):
    """What is served, and which of them answers who names none."""

    default: str
    models: list[ServedBody]


class ModelBody(ServedBody):
    """The bundle's manifest, its labels in the order of the logits, the same in other languages,
    and what the page must know."""

    manifest: dict[str, Any]
    labels: list[str]
    translations: dict[str, list[str]]
    max_upload_mb: float


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The page."""
    return FileResponse(STATIC / "index.html", headers=_PAGE_HEADERS)


@router.get("/health/live", responses={503: {"model": Problem}}, summary="Is the process alive?")
async def live(request: Request) -> Live:
    """503 means: restart it."""
    if not _service(request).alive:
        raise NotReady("The dispatcher has died.", hint="Restart the server.")
    return Live()


@router.get("/health/ready", responses={503: {"model": Problem}}, summary="Can it answer?")
async def ready(request: Request) -> Ready:
    """503 means: send no pictures now."""
    _service(request).ready()
    return Ready()


@router.get(
    "/model",
    responses={**GUARDED, 404: {"model": Problem, "description": "No such model is served"}},
    summary="What answers here",
)
async def model(
    request: Request,
    model: Annotated[str | None, Query(description="Its name; without it, the default")] = None,
) -> ModelBody:
    """Manifest and labels of a bundle that is served."""
    service = _service(request)
    served = service.find(model)
    return ModelBody(
        **summary(served),
        manifest=served.bundle.manifest.model_dump(mode="json"),
        labels=list(served.bundle.labels),
        translations={tag: list(names) for tag, names in served.bundle.translations.items()},
        max_upload_mb=service.settings.max_upload_mb,
    )


@router.get(
    "/model/report",
    # Not HTMLResponse, or errors would be documented as HTML too.
    response_class=Response,
    responses={
        200: {"description": "The page", "content": {"text/html": {"schema": {"type": "string"}}}},
        **GUARDED,
        404: {"model": Problem, "description": "No such model, or one without a report"},
    },
    summary="How good it is on labelled pictures",
)
async def report(
    request: Request,
    model: Annotated[str | None, Query(description="Its name; without it, the default")] = None,
) -> HTMLResponse:
    """The page that the build wrote: accuracy, calibration, and what it gets wrong."""
    served = _service(request).find(model)
    if served.bundle.report is None:
        raise NoReport(
            f"Model {served.name} has no report.",
            hint="Build it with labelled pictures: millisight build … --validation DIR.",
        )
    return HTMLResponse(served.bundle.report, headers=_REPORT_HEADERS)


@router.get("/models", responses=GUARDED, summary="All that answers here")
async def models(request: Request) -> ModelsBody:
    """The names that `?model=` takes, the default first."""
    found = [ServedBody(**summary(served)) for served in _service(request).models.values()]
    return ModelsBody(default=found[0].name, models=found)


def summary(served: Served) -> dict[str, str]:
    """The fields of a ``ServedBody``."""
    return {
        "name": served.name,
        "digest": served.digest,
        "description": served.bundle.manifest.describe(),
    }


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service
