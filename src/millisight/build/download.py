"""Weights from the official host or a mirror, into torch's own cache, with their digest checked."""

import hashlib
import http.client
import os
import re
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

import torch

from millisight.build.steps import Step
from millisight.bundlefiles import describe_file
from millisight.errors import WeightsUnavailable

TIMEOUT_SECONDS = 10.0
"""How long a silent host is waited for."""

_CHUNK = 1 << 20
# torchvision ends the names of its weight files in the first digits of their SHA-256.
_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")


def fetch_weights(url: str, *, mirror: str = "", step: Step) -> Path:
    """The file published at ``url``, in the folder where torchvision looks for it.

    ``mirror`` replaces everything before the file name. A file that is already there is checked
    too. Raises ``WeightsUnavailable`` when it cannot be had within seconds or is not the official
    one; then nothing is kept.
    """
    name = Path(urlparse(url).path).name
    match = _DIGEST_IN_NAME.search(name)
    if match is None:
        raise WeightsUnavailable(f"{url} does not carry the digest of its file in its name.")
    target = Path(torch.hub.get_dir()) / "checkpoints" / name
    if target.is_file() and describe_file(target).sha256.startswith(match[1]):
        return target
    source = f"{mirror.rstrip('/')}/{name}" if mirror else url
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as temporary:
        partial = Path(temporary) / name
        try:
            found = _download(source, partial, step)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise _unavailable(source, name, _reason(error)) from error
        if not found.startswith(match[1]):
            raise WeightsUnavailable(
                f"The weights from {source} are not the official ones: "
                f"their SHA-256 begins {found[: len(match[1])]}, not {match[1]}.",
                hint="Nothing was kept. Try again; if it stays so, do not use that source.",
            )
        partial.replace(target)
    return target


def _download(source: str, target: Path, step: Step) -> str:
    """Stream ``source`` to ``target``; the SHA-256 of what came."""
    digest = hashlib.sha256()
    # The scheme is the user's own choice: a mirror may well be a file:// folder.
    with (
        urllib.request.urlopen(source, timeout=TIMEOUT_SECONDS) as response,  # noqa: S310
        target.open("wb") as file,
        step(f"Downloading {source}", total=int(response.headers["Content-Length"] or 0)) as bar,
    ):
        while chunk := response.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
            bar.advance(len(chunk))
        expected = int(response.headers["Content-Length"] or file.tell())
        if file.tell() != expected:
            raise ConnectionError(f"only {file.tell()} of {expected} bytes arrived")
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error)


def _unavailable(source: str, name: str, reason: str) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"The weights could not be downloaded from {source}: {reason}.",
        hint=f"Fetch {name} on a machine with network and give it with --weights FILE, or set "
        "MILLISIGHT_WEIGHTS_MIRROR to a base URL that has it.",
    )
