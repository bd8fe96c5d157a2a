"""Errors as responses: one JSON shape on every route.

``{"error": "<sentence>", "code": "bad_image", "hint": "…", "request_id": "…"}``
"""

import logging
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from millisight.errors import BadParameter, MillisightError, Overloaded, Unauthorized
from millisight.server.access import note

logger = logging.getLogger(__name__)

FAULT = "Something went wrong inside the server."
LOOK = "The server's log has the details under this request id."


class Problem(BaseModel):
    """The body of every answer that is not a success."""

    error: str
    code: str
    hint: str
    request_id: str


GUARDED: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "No API key, where the server wants one"}
}
"""For the documentation of routes that ask for a key."""


def add_error_handlers(app: FastAPI) -> None:
    """Make every foreseen error of ``app`` answer with a ``Problem``."""
    app.add_exception_handler(MillisightError, on_known)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, on_http)


def problem(
    request: Request,
    status: int,
    code: str,
    error: str,
    *,
    hint: str = "",
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """A response in the one shape."""
    note(request, error=code)
    # As ``Problem`` has it; under too much load most answers are made here.
    body = {"error": error, "code": code, "hint": hint, "request_id": request.state.request_id}
    return JSONResponse(body, status_code=status, headers=headers)


def on_known(request: Request, error: Exception) -> JSONResponse:
    """The response to a ``MillisightError``; anything else is raised again."""
    if not isinstance(error, MillisightError):
        raise error
    return _refused(request, error, *told(error, request.state.request_id))


def in_full(request: Request, error: MillisightError) -> JSONResponse:
    """The response for who may know what the server's log does."""
    return _refused(request, error, error.message, error.hint)


def told(error: MillisightError, request_id: str) -> tuple[str, str]:
    """Sentence and hint for who has asked.

    What only the keeper of the server can mend names files of theirs: that goes to the log.
    """
    if error.status != HTTPStatus.INTERNAL_SERVER_ERROR:
        return error.message, error.hint
    extra = {"request_id": request_id}
    logger.error("Request %s failed: %s %s", request_id, error.message, error.hint, extra=extra)
    return FAULT, LOOK


def _refused(request: Request, error: MillisightError, sentence: str, hint: str) -> JSONResponse:
    request.app.state.service.observer.rejected(error.code)
    return problem(request, error.status, error.code, sentence, hint=hint, headers=_headers(error))


def _headers(error: MillisightError) -> dict[str, str] | None:
    match error:
        case Overloaded():
            # The header knows whole seconds only.
            return {"Retry-After": str(max(1, ceil(error.retry_after)))}
        case Unauthorized():
            return {"WWW-Authenticate": "Bearer"}
        case _:
            return None


def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    name = first["loc"][-1]
    sentence = f"Parameter {name} cannot be {first['input']!r}: {first['msg']}."
    return problem(request, BadParameter.status, BadParameter.code, sentence)


def on_http(request: Request, error: Exception) -> JSONResponse:
    """The response to what the framework refuses; anything else is raised again."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_")
    sentence = f"{request.method} {request.scope['path']}: {status.phrase.lower()}."
    headers = dict(error.headers or {})
    return problem(
        request, status, code, sentence, hint="See /docs for what there is.", headers=headers
    )
