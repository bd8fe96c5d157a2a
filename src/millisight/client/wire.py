"""Requests over httpx2: what is tried again, when, and what failures are called.

Tried again is what a server did not begin, 429 and 503, what never reached it, and what the
connection broke under: no call changes anything, so that one more does no harm. Not what took too
long, which would take as long again, nor what was answered otherwise.
"""

import asyncio
import logging
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from importlib.metadata import version
from socket import gaierror
from typing import Any

import httpx2
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    before_sleep_log,
    retry_if_exception,
    retry_if_result,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from millisight.client.calls import Call, Reply
from millisight.errors import BadParameter, DeadlineExceeded, MillisightError, Unreachable

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0
"""After this a server is taken to be away; connecting takes milliseconds where it is there."""

_LIMITS = httpx2.Limits(
    max_connections=100,
    max_keepalive_connections=100,
    # The server closes after five seconds: a little before, nobody sends into a closing one.
    keepalive_expiry=4.0,
)
_BACKOFF = wait_random_exponential(multiplier=0.2, max=5.0)
_GRACE_SECONDS = 0.1
"""So that what ends in time is told as what it is."""
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class Wire:
    """Sends calls to one server. Thread-safe."""

    def __init__(self, url: str, api_key: str, seconds: float, *, retry: bool) -> None:
        """``seconds`` is what one call may take in all. Raises ``BadParameter``."""
        self._patience = _Patience(url, seconds, retry=retry)
        with self._patience.translated():
            self._http = httpx2.Client(**_options(url, api_key))

    def send(self, call: Call, *, retry: bool = True) -> Reply:
        """What the server answers in the end, whatever its status.

        Raises ``Unreachable``, ``DeadlineExceeded``, and ``BadParameter`` for what cannot be sent.
        """
        ends = self._patience.ends()
        with self._patience.translated():
            return Retrying(**self._patience.policy(retry=retry))(self._attempt, call, ends)

    def _attempt(self, call: Call, ends: float) -> Reply:
        return _reply(self._http.request(**_request(call, ends)))

    def close(self) -> None:
        """Give up the connections."""
        self._http.close()


class AsyncWire:
    """Sends calls to one server, for an event loop; see ``Wire``."""

    def __init__(self, url: str, api_key: str, seconds: float, *, retry: bool) -> None:
        """See ``Wire``."""
        self._patience = _Patience(url, seconds, retry=retry)
        with self._patience.translated():
            self._http = httpx2.AsyncClient(**_options(url, api_key))

    async def send(self, call: Call, *, retry: bool = True) -> Reply:
        """See ``Wire.send``."""
        ends = self._patience.ends()
        with self._patience.translated():
            # A new one for each call: tasks that share one would mix up their states.
            trying = AsyncRetrying(**self._patience.policy(retry=retry))
            # httpx2 limits each read and write: an answer that trickles in would never be late.
            async with asyncio.timeout(ends - time.monotonic() + _GRACE_SECONDS):
                return await trying(self._attempt, call, ends)

    async def _attempt(self, call: Call, ends: float) -> Reply:
        return _reply(await self._http.request(**_request(call, ends)))

    async def close(self) -> None:
        """Give up the connections."""
        await self._http.aclose()


class _Patience:
    """How long to try, and what to say of failures."""

    def __init__(self, url: str, seconds: float, *, retry: bool) -> None:
        self._url = url
        self._seconds = seconds
        self._retry = retry

    def ends(self) -> float:
        """When a call that begins now must be over, in ``time.monotonic`` seconds."""
        return time.monotonic() + self._seconds

    def policy(self, *, retry: bool) -> dict[str, Any]:
        """The options of tenacity's classes."""
        again = retry and self._retry
        return {
            "stop": stop_before_delay(self._seconds) if again else stop_after_attempt(1),
            "wait": _pause,
            "retry": retry_if_result(_is_busy) | retry_if_exception(_is_harmless),
            "before_sleep": before_sleep_log(logger, logging.INFO),
            # The last reply or error as it is.
            "retry_error_callback": _last,
        }

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of httpx2 become this package's within."""
        try:
            yield
        except (httpx2.HTTPError, UnicodeEncodeError, TimeoutError) as error:
            raise self._translation(error) from error

    def _translation(self, error: Exception) -> MillisightError:
        reason = re.sub(r"^\[Errno \S+\] ", "", str(error)).rstrip(".") or type(error).__name__
        match error:
            case httpx2.ConnectError() | httpx2.ConnectTimeout() | httpx2.ProxyError():
                return Unreachable(
                    f"No server can be reached at {self._url}: {reason}.",
                    hint="Is the address right? On the server's machine: millisight serve",
                )
            case httpx2.TimeoutException() | TimeoutError():
                return DeadlineExceeded(
                    f"{self._url} has not answered within {self._seconds:g} s.",
                    hint="Give the client a longer timeout, or look what keeps the server.",
                )
            case httpx2.LocalProtocolError() | UnicodeEncodeError():
                # Not with the reason, which would show the key.
                return BadParameter(
                    "The API key or the request id cannot be sent.",
                    hint="They may have letters, digits and signs of ASCII, in one line.",
                )
            case _:
                return Unreachable(
                    f"The connection to {self._url} broke: {reason}.",
                    hint="Try again; if it breaks again, look at the server's log.",
                )


def _options(url: str, api_key: str) -> dict[str, Any]:
    headers = {"User-Agent": f"millisight/{version('millisight')}"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    return {"base_url": _address(url), "headers": headers, "limits": _LIMITS}


def _address(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise BadParameter(
            f"{url!r} is not the address of a server.",
            hint="It begins with http:// or https://, as in http://127.0.0.1:8000",
        )
    return parsed


def _request(call: Call, ends: float) -> dict[str, Any]:
    left = max(0.001, ends - time.monotonic())
    return {
        "method": call.method,
        "url": call.path,
        "params": call.query,
        "headers": call.headers,
        "content": call.body,
        "timeout": httpx2.Timeout(left, connect=min(left, _CONNECT_SECONDS)),
    }


def _reply(response: httpx2.Response) -> Reply:
    return Reply(response.status_code, response.headers, response.content)


def _is_busy(reply: Reply) -> bool:
    return reply.status in _BUSY


def _is_harmless(error: BaseException) -> bool:
    match error:
        case httpx2.ConnectError():
            # A wrong name or certificate is a mistake, and stays one.
            return not any(isinstance(one, gaierror | ssl.SSLError) for one in _causes(error))
        case httpx2.ConnectTimeout() | httpx2.RemoteProtocolError() | httpx2.NetworkError():
            return True
        case _:
            return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _pause(state: RetryCallState) -> float:
    """What the server asks for, and a little more: not all come back at once."""
    asked = 0.0
    if state.outcome and not state.outcome.failed:
        asked = state.outcome.result().retry_after()
    return asked + _BACKOFF(state)


def _last(state: RetryCallState) -> Any:
    return state.outcome.result() if state.outcome else None
