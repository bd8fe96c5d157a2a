"""Who may ask: API keys, where the settings name any."""

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from millisight.errors import SettingsError, Unauthorized
from millisight.server.problems import on_known
from millisight.settings import Settings, listed

MIN_KEY_LENGTH = 16
"""Shorter ones could be guessed."""

# The page itself, the documentation and the health checks tell nobody anything; the administrator
# has a token of his own.
_OPEN = re.compile(
    r"/|/static/.*|/health/.*|/v2/health/.*|/ping|/docs|/docs/.*|/openapi\.json|/static-offline-docs/.*|/admin/.*"
)


def read_keys(settings: Settings) -> list[bytes]:
    """The SHA-256 digests of the keys that the settings name; without any, everybody may ask.

    Raises ``SettingsError`` for a file that cannot be read or has none, and for a key that
    is short or a secret that is not ASCII.
    """
    keys = listed(settings.api_keys.get_secret_value())
    _check_characters("The administrator's token", settings.admin_token.get_secret_value())
    if settings.api_keys_file:
        found = _read_file(Path(settings.api_keys_file))
        if not found:
            raise SettingsError(
                f"The file of API keys {settings.api_keys_file} has none.",
                hint="Write one a line; lines that begin with # are skipped.",
            )
        keys += found
    _check_characters("An API key", "".join(keys))
    if any(len(key) < MIN_KEY_LENGTH for key in keys):
        raise SettingsError(
            f"An API key is shorter than {MIN_KEY_LENGTH} characters.",
            hint="Make one with: openssl rand -hex 24",
        )
    return [digest_of(key) for key in keys]


def _check_characters(what: str, secret: str) -> None:
    # Clients do not agree on how a header holds any others: nobody could show it.
    if not secret.isascii():
        raise SettingsError(
            f"{what} has characters that are not ASCII.", hint="Make one with: openssl rand -hex 24"
        )


def _read_file(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "It is not text"
        raise SettingsError(f"The file of API keys {path} cannot be read: {reason}.") from error
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def token_of(headers: Mapping[str, str]) -> str:
    """What the client shows: ``Authorization: Bearer …``, or ``X-API-Key``."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return headers.get("x-api-key", "")


def is_one_of(token: str, digests: Collection[bytes]) -> bool:
    """Whether ``token`` has one of ``digests``; how long that takes tells nothing of them."""
    digest = digest_of(token)
    return sum([hmac.compare_digest(digest, other) for other in digests]) > 0


def digest_of(text: str) -> bytes:
    """What is kept of a key, and compared."""
    return hashlib.sha256(text.encode()).digest()


def check_key(headers: Mapping[str, str], keys: Collection[bytes]) -> None:
    """Raise ``Unauthorized`` unless ``headers`` show one of ``keys``, which are digests."""
    if not is_one_of(token_of(headers), keys):
        raise Unauthorized(
            "This server answers only those who have a key.",
            hint="Send it as: Authorization: Bearer KEY",
        )


class Door:
    """ASGI middleware: 401 for who has no key, but for what ``_OPEN`` names."""

    def __init__(self, app: ASGIApp, keys: Collection[bytes]) -> None:
        """``keys`` are digests of ``read_keys``."""
        self.app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _OPEN.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            check_key(request.headers, self._keys)
        except Unauthorized as error:
            await on_known(request, error)(scope, receive, send)
        else:
            await self.app(scope, receive, send)
