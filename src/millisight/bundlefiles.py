"""The files of a bundle: read, described and verified."""

import hashlib
import stat
from pathlib import Path

from millisight.errors import BundleError
from millisight.manifest import FileEntry


def read_file(path: Path, entry: FileEntry) -> bytes:
    """All bytes of a file of a bundle. Raises ``BundleError`` unless they are what ``entry`` says.

    Whoever needs them takes these: the file may be another when it is read again.
    """
    try:
        # Before it is read: it may have no end.
        if plain(path).stat().st_size != entry.bytes:
            raise damaged(path)
        with path.open("rb") as file:
            content = file.read(entry.bytes + 1)  # Since then it may have got one.
    except OSError as error:
        raise BundleError(
            f"Bundle file {path} cannot be read: {error.strerror}.", hint="Build it again."
        ) from error
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise damaged(path)
    return content


def plain(path: Path) -> Path:
    """``path``, if it is a file and no pipe or device, from which reading may never end.

    Raises ``BundleError`` or ``OSError``.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise damaged(path)
    return path


def damaged(path: Path) -> BundleError:
    """What to raise of a file that is not what it should be."""
    return BundleError(
        f"Bundle file {path} is damaged: it is not what the manifest describes.",
        hint="Build the bundle again, or restore it from a copy.",
    )


def describe_file(path: Path) -> FileEntry:
    """Size and SHA-256 of a file. Raises ``OSError``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(bytes=path.stat().st_size, sha256=digest)
