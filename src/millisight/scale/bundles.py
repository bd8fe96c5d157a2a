"""Bundles that lie elsewhere: on S3, GCS, HTTP or wherever fsspec reaches.

A bundle is named by its address, such as ``s3://models/resnet18``. It may be pinned, as packages
are: ``…/resnet18#sha256=<digest of its manifest>``, which stands for every byte of it. Each node
fetches it once.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from millisight.bundle import (
    MANIFEST,
    Bundle,
    check_name,
    new_bundle,
    open_bundle,
    open_bundles,
    read_bundle,
    read_manifest,
)
from millisight.errors import BundleError, ExtraMissing, ModelNotFound, SettingsError
from millisight.nearest import missing
from millisight.scale.addresses import is_address

EXTRA = "ray"

_PIN = "#sha256="


def pin(models: Sequence[str], home: Path) -> tuple[str, ...]:
    """``models``, each with the digest of what is there now, so that all nodes have the same.

    Of what lies elsewhere only the manifest is read. Raises what ``open_pinned`` does.
    """
    return tuple(
        model if _PIN in model else f"{model}{_PIN}{_digest(model, home)}" for model in models
    )


def open_pinned(models: Sequence[str], home: Path) -> dict[str, Bundle]:
    """The bundles of ``models`` by their names, fetched into ``home`` where need be.

    Raises what ``open_bundles`` does, ``BundleError`` for one that is not what its pin says or
    does not arrive, and ``ExtraMissing`` where a package is needed to reach it.
    """
    pairs = [model.partition(_PIN)[::2] for model in models]
    places = [_place(model, digest, home) for model, digest in pairs]
    found = open_bundles(places, home)
    for (model, digest), bundle in zip(pairs, found.values(), strict=True):
        if digest:
            _check(model, digest, bundle)
    return found


def _digest(model: str, home: Path) -> str:
    if not is_address(model):
        return open_bundle(model, home).manifest.digest()
    with tempfile.TemporaryDirectory() as draft:
        _get(model, MANIFEST, Path(draft))
        return read_manifest(Path(draft)).digest()


def _place(model: str, digest: str, home: Path) -> str:
    """Where ``open_bundles`` finds ``model``."""
    if not is_address(model):
        return model
    return str(_fetch(model, digest or _digest(model, home), home))


def _fetch(url: str, digest: str, home: Path) -> Path:
    """The node's own copy of the bundle at ``url``; several processes make one."""
    from filelock import FileLock

    name = check_name(Path(urlsplit(url).path or urlsplit(url).netloc).name)
    target = home / "fetched" / digest / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / ".lock"):
            if not _is_whole(target):
                with new_bundle(target) as draft:
                    _download(url, digest, draft)
    except OSError as error:
        raise SettingsError(
            f"Bundles cannot be kept in {home}: {error.strerror or error}.",
            hint="Set MILLISIGHT_HOME to a folder that may be written to, on every node.",
        ) from error
    return target


def _is_whole(folder: Path) -> bool:
    try:
        read_bundle(folder)
    except BundleError:
        return False
    return True


def _download(url: str, digest: str, draft: Path) -> None:
    _get(url, MANIFEST, draft)
    for name in read_manifest(draft).files:
        _get(url, name, draft)
    _check(url, digest, read_bundle(draft))


def _check(model: str, digest: str, bundle: Bundle) -> None:
    if (found := bundle.manifest.digest()) != digest:
        raise BundleError(
            f"The bundle at {model} is not the one that was asked for: its digest is {found}.",
            hint=f"Asked for was {digest}: it was exchanged meanwhile, or the pin is of another.",
        )


def _get(url: str, name: str, folder: Path) -> None:
    """Copy one file of the bundle at ``url`` into ``folder``."""
    try:
        import fsspec

        system, root = fsspec.url_to_fs(url)
        system.get_file(f"{root.rstrip('/')}/{name}", str(folder / name))
    except ImportError as error:
        raise _unreachable(url, error) from error
    except FileNotFoundError as error:
        raise ModelNotFound(
            f"There is no bundle at {url}: it has no {name}.",
            hint="Give the address of the folder that `millisight build` made.",
        ) from error
    # Each of fsspec's systems has errors of its own.
    except Exception as error:
        raise BundleError(
            f"{name} of the bundle at {url} cannot be fetched: {error}",
            hint="See whether this machine may read it, and try again.",
        ) from error


def _unreachable(url: str, error: ImportError) -> ExtraMissing:
    if (error.name or "") in {"fsspec", "filelock"}:
        return missing(error, EXTRA)
    # fsspec says itself which package it wants for which protocol.
    return ExtraMissing(f"{url} cannot be reached: {error}", hint="Install that package, too.")
