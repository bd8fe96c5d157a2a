"""Files wherever fsspec reaches: a local path or an address such as ``s3://bucket/folder``."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from pyarrow.fs import FSSpecHandler, PyFileSystem

from millisight.errors import DataError, ExtraMissing
from millisight.pictures import SUFFIXES, find_pictures, named
from millisight.results import PARQUET
from millisight.rows import as_text
from millisight.scale.addresses import is_address

_DENIED = ("AccessDenied", "InvalidObjectState")
"""What S3 says of one object: that it is not for this one, or has moved to the archive."""


def at(name: str) -> tuple[Any, str]:
    """The file system of ``name`` and the path in it. Raises ``ExtraMissing`` and ``DataError``."""
    system, path = _reach(name)
    # It is kept for the life of a process, and others write there, too.
    system.invalidate_cache()
    return system, path


def _reach(name: str) -> tuple[Any, str]:
    """The same, which may remember what lay there before: no matter to who reads one file."""
    try:
        system, path = fsspec.url_to_fs(name, **_options(name))
    except ImportError as error:
        # fsspec says itself which package it wants for which protocol.
        raise ExtraMissing(
            f"{name} cannot be reached: {error}", hint="Install that package, too."
        ) from error
    except ValueError as error:
        raise DataError(f"{name} cannot be reached: {error}.") from error
    return system, str(path).rstrip("/")


def _options(name: str) -> dict[str, Any]:
    # Else s3fs asks for the size of each file first, and its refusal does not say why.
    return {"max_concurrency": 1} if name.startswith("s3://") else {}


def for_arrow(system: Any) -> Any:
    """``system`` as Arrow has file systems."""
    return PyFileSystem(FSSpecHandler(system))


def read(name: str) -> bytes:
    """The whole file ``name``. Raises ``OSError``, for what concerns this file alone, and
    ``DataError`` where the storage as a whole does not answer."""
    fetch: Callable[[], bytes] = Path(name).read_bytes
    if is_address(name):
        system, path = _reach(name)
        fetch = partial(system.cat_file, path)
    try:
        return fetch()
    # Each of fsspec's systems has errors of its own.
    except Exception as error:
        if _concerns_it_alone(name, error):
            raise
        # The file may be as good as any: nothing is to be written that says otherwise.
        raise DataError(f"The storage of {name} does not answer: {error}.") from error


def _concerns_it_alone(name: str, error: Exception) -> bool:
    """Whether ``error`` says something of that file, and not of all that lies where it lies."""
    if not is_address(name):
        return isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError)
    if isinstance(error, PermissionError):
        # S3 says of a key that has expired the same as of a file that is kept from everybody.
        response = getattr(error.__cause__, "response", None)
        told = response.get("Error", {}) if isinstance(response, dict) else {}
        return told.get("Code", _DENIED[0]) in _DENIED
    return isinstance(error, FileNotFoundError)


def find(name: str) -> Iterator[str]:
    """The pictures in the folder ``name``, or that one file, in the order of their names.

    Raises ``DataError`` where there is nothing.
    """
    if is_address(name):
        yield from _find_there(name, SUFFIXES)
    else:
        for path in find_pictures(named([name])):
            # A name that is no text could not be told apart from another one in the results.
            if as_text(path) != str(path):
                raise DataError(f"The name {as_text(path)} is not text.", hint="Rename the file.")
            yield str(path)


def find_tables(name: str) -> Iterator[str]:
    """The Parquet files in the folder ``name``, or that one file, in the order of their names.

    Raises ``DataError`` where there is none.
    """
    yield from _find_there(name, {PARQUET})


def _find_there(name: str, suffixes: frozenset[str] | set[str]) -> Iterator[str]:
    system, root = at(name)
    some = False
    # A bucket lists everything below a name in one order.
    for path in [root] if system.isfile(root) else sorted(system.find(root)):
        if path == root or PurePosixPath(path).suffix.lower() in suffixes:
            some = True
            yield system.unstrip_protocol(path) if is_address(name) else path
    if not some:
        raise DataError(f"There is nothing to read at {name}.")
