"""What is asked of a server, and what its answers mean. Pure: nothing here knows a network."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar

from millisight import errors
from millisight.answers import Embedding, Prediction, ServedModel, ServedResult, Timings
from millisight.errors import (
    BadParameter,
    DeadlineExceeded,
    ExtraMissing,
    MillisightError,
    NotReady,
    Overloaded,
    Unauthorized,
    UnexpectedAnswer,
    Unreachable,
    UploadTooLarge,
)

Answer = TypeVar("Answer")

_BY_CODE = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, MillisightError)
}

# What proxies before a server mean by these, who do not speak its JSON.
_BY_STATUS: dict[int, type[MillisightError]] = {
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: UploadTooLarge,
    HTTPStatus.TOO_MANY_REQUESTS: Overloaded,
    HTTPStatus.BAD_GATEWAY: NotReady,
    HTTPStatus.SERVICE_UNAVAILABLE: NotReady,
    HTTPStatus.GATEWAY_TIMEOUT: DeadlineExceeded,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request; sending it twice does no more than sending it once."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """However their names are written."""
    body: bytes

    def retry_after(self) -> float:
        """The seconds that ``Retry-After`` asks for, given as such or as a date; 0 without it."""
        given = self.headers.get("Retry-After", "").strip()
        if given.isascii() and given.isdecimal():
            return float(given)
        when = _date(given)
        # By the server's clock if it tells the time: ours may be wrong.
        now = _date(self.headers.get("Date", "")) or datetime.now(UTC)
        return max(0.0, (when - now).total_seconds()) if when else 0.0


def _date(given: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(given)
    except ValueError:
        return None
    # Without a zone it is in Greenwich's all the same, says RFC 9110, section 5.6.7.
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def predict(
    picture: bytes,
    top_k: int,
    model: str | None,
    deadline_ms: int | None,
    request_id: str | None = None,
) -> Call:
    """``/predict``."""
    query = {"top_k": top_k, "model": model}
    return _about(picture, "/predict", query, "application/json", deadline_ms, request_id)


def embed(
    picture: bytes,
    normalize: bool,
    model: str | None,
    deadline_ms: int | None,
    request_id: str | None,
) -> Call:
    """``/embed``, as JSON: it is exact, and says more than the file for NumPy."""
    query = {"normalize": str(normalize).lower(), "model": model}
    return _about(picture, "/embed", query, "application/json", deadline_ms, request_id)


def explain(
    picture: bytes,
    class_index: int | None,
    model: str | None,
    deadline_ms: int | None,
    request_id: str | None,
) -> Call:
    """``/explain``, as a picture."""
    query = {"class": class_index, "model": model}
    return _about(picture, "/explain", query, "image/png", deadline_ms, request_id)


def _about(
    picture: bytes,
    path: str,
    query: Mapping[str, object],
    accept: str,
    deadline_ms: int | None,
    request_id: str | None,
) -> Call:
    headers = {
        "Accept": accept,
        "Content-Type": "application/octet-stream",
        "X-Deadline-Ms": deadline_ms,
        "X-Request-Id": request_id,
    }
    return Call("POST", path, _given(query), _given(headers), picture)


def _given(parameters: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in parameters.items() if value is not None}


MODELS = Call("GET", "/models")
READY = Call("GET", "/health/ready")
LIVE = Call("GET", "/health/live")

UNWELL = (NotReady, Unreachable, DeadlineExceeded)
"""What a health check that fails is raised as."""


def check_concurrency(concurrency: int) -> None:
    """Raise ``BadParameter`` unless that many can be under way."""
    if concurrency < 1:
        raise BadParameter(f"concurrency must be at least 1, not {concurrency}.")


def result_of(reply: Reply) -> ServedResult:
    """The answer of ``/predict``."""
    return read(
        reply,
        lambda body: ServedResult(
            predictions=[
                Prediction(one["label"], one["confidence"], one["index"])
                for one in body["predictions"]
            ],
            model=body["model"],
            timings_ms=_timings(body),
            warnings=tuple(body["warnings"]),
            uncertain=body.get("uncertain"),
            cached=body["cached"],
            request_id=reply.headers.get("X-Request-Id", ""),
        ),
    )


def _timings(body: Any) -> Timings:
    parts = body["timings_ms"]
    return Timings(parts["decode"], parts["queue"], parts["inference"], parts["total"])


def embedding_of(reply: Reply) -> Embedding:
    """The answer of ``/embed``."""
    import numpy as np

    return read(
        reply,
        lambda body: Embedding(
            vector=np.asarray(body["embedding"], dtype=np.float32),
            model=body["model"],
            timings_ms=_timings(body),
            warnings=tuple(body["warnings"]),
        ),
    )


def models_of(reply: Reply) -> list[ServedModel]:
    """The answer of ``/models``."""
    return read(
        reply,
        lambda body: [
            ServedModel(one["name"], one["digest"], one["description"]) for one in body["models"]
        ],
    )


def file_of(reply: Reply) -> bytes:
    """An answer that is a file. Raises what ``read`` does."""
    if reply.status != HTTPStatus.OK:
        raise error_of(reply)
    return reply.body


def read(reply: Reply, build: Callable[[Any], Answer]) -> Answer:
    """What ``build`` makes of the JSON of ``reply``.

    Raises the error that ``reply`` tells of, by its class, and ``UnexpectedAnswer`` for what no
    millisight would say.
    """
    try:
        return build(json.loads(file_of(reply)))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _unexpected("It answered something that is not millisight's.") from error


def error_of(reply: Reply) -> MillisightError:
    """The error that ``reply`` tells of."""
    try:
        problem = json.loads(reply.body)
        code, sentence, hint = problem["code"], str(problem["error"]), str(problem["hint"])
        error = _BY_CODE.get(code, UnexpectedAnswer)(sentence, hint=hint)
        error.request_id = str(problem["request_id"])
    except (ValueError, LookupError, TypeError):
        error = _of_status(reply.status)
    if isinstance(error, Overloaded):
        error.retry_after = reply.retry_after()
    return error


def _of_status(status: int) -> MillisightError:
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "an unknown status"
    sentence = f"The answer is {status}, {phrase.lower()}, and not from millisight itself."
    if (kind := _BY_STATUS.get(status)) is None:
        return _unexpected(sentence)
    return kind(sentence, hint="A proxy before the server says so: ask who runs it.")


def _unexpected(sentence: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(sentence, hint="Is a millisight server at that address?")


def missing(error: ImportError) -> ExtraMissing:
    """What to say where the packages of the client are not installed."""
    return ExtraMissing(
        f"The client needs a package that is not installed: {error.name}.",
        hint="Install it with: pip install 'millisight[client]'",
    )
