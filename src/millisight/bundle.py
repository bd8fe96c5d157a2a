"""Read, verify, find and write bundles.

A bundle is a folder: ``manifest.json``, ``labels.json``, ``model.xml`` and ``model.bin``, and
``report.html`` and ``report.json`` where there were labelled pictures to report of. It is
data only; nothing in it is executed. The manifest carries the size and SHA-256 of every other
file, and its own digest, so one flipped bit anywhere is noticed on load.
"""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from millisight.bundlefiles import damaged, plain, read_file
from millisight.errors import BundleError, ModelNotFound, SettingsError
from millisight.manifest import FORMAT_VERSION, Manifest
from millisight.runtime import GraphFiles

MANIFEST = "manifest.json"
LABELS = "labels.json"
GRAPH = "model.xml"
TENSORS = "model.bin"
FILES = (LABELS, GRAPH, TENSORS)
"""The files a manifest must name."""
REPORT = "report.html"
REPORT_DATA = "report.json"
REPORT_FILES = (REPORT, REPORT_DATA)
"""The files a manifest may name besides: both or neither, and no others."""

_NAMED = ({*FILES}, {*FILES, *REPORT_FILES})

STARTER = "starter"
DEFAULT = "resnet18"
AUTO = "auto"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class _Labels(BaseModel):
    model_config = ConfigDict(extra="forbid")

    labels: tuple[str, ...]
    translations: dict[str, tuple[str, ...]] = {}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle, as it was when it was read: its folder is not looked at again."""

    path: Path
    """The folder that it was read from."""
    manifest: Manifest
    labels: tuple[str, ...]
    """The class names, in the order of the logits."""
    graph: GraphFiles = field(compare=False, repr=False)
    """The network."""
    translations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The same names in other languages, by BCP 47 language tag such as ``zh``."""
    report: bytes | None = field(default=None, repr=False)
    """The HTML page that says how good it is on labelled pictures, where there is one."""


def read_bundle(path: Path) -> Bundle:
    """The bundle in folder ``path``, every byte verified and kept that is needed to answer.

    Raises ``BundleError`` naming the file that is missing, changed or not understood.
    """
    manifest = read_manifest(path)
    files = {name: read_file(path / name, entry) for name, entry in manifest.files.items()}
    try:
        content = _Labels.model_validate_json(files[LABELS])
    except ValidationError as error:
        raise damaged(path / LABELS) from error
    for names in (content.labels, *content.translations.values()):
        if len(names) != manifest.class_count:
            raise BundleError(
                f"Bundle {path} has {len(names)} labels for {manifest.class_count} classes.",
                hint="Build it again.",
            )
    graph = GraphFiles(path / GRAPH, files[GRAPH], files[TENSORS])
    return Bundle(path, manifest, content.labels, graph, content.translations, files.get(REPORT))


def read_manifest(path: Path) -> Manifest:
    """The manifest of the bundle in folder ``path``, itself verified; its files are not looked at.

    Raises ``BundleError``.
    """
    try:
        text = plain(path / MANIFEST).read_text(encoding="utf-8")
        content = json.loads(text)
        version = content.get("format_version")
        if isinstance(version, int) and version != FORMAT_VERSION:
            hint = "Build the bundle again with this version"
            raise BundleError(
                f"Bundle {path} has format {version}; this millisight reads {FORMAT_VERSION}.",
                hint=f"{hint}, or upgrade millisight." if version > FORMAT_VERSION else f"{hint}.",
            )
        del content["digest"]
        manifest = Manifest.model_validate(content)
    except FileNotFoundError as error:
        raise BundleError(
            f"{path} is not a bundle: it has no {MANIFEST}.",
            hint="Give the folder that `millisight build` made.",
        ) from error
    except (OSError, ValueError, AttributeError, KeyError, RecursionError) as error:
        raise damaged(path / MANIFEST) from error
    # The text and not only the digest in it: 1e-05 and 1E-05 are one value but not one file.
    if text != _manifest_text(manifest) or set(manifest.files) not in _NAMED:
        raise damaged(path / MANIFEST)
    return manifest


def store(home: Path) -> Path:
    """The folder of ``home`` that holds one folder a bundle."""
    return home / "bundles"


def starter_path() -> Path:
    """The bundle that ships with the package."""
    return Path(str(resources.files("millisight"))) / STARTER


def list_bundles(home: Path) -> list[tuple[str, Path]]:
    """Name and folder of what the store holds, by name, then the starter. Nothing is verified.

    Raises ``BundleError`` for a store that cannot be read.
    """
    folder = store(home)
    try:
        entries = list(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise BundleError(
            f"The store {folder} cannot be read: {error.strerror}.",
            hint="Let this user read it, or choose another with --home.",
        ) from error
    names = sorted(
        entry.name for entry in entries if _NAME.fullmatch(entry.name) and _is_bundle(entry)
    )
    return [*((name, folder / name) for name in names), (STARTER, starter_path())]


def _is_bundle(folder: Path) -> bool:
    try:
        return (folder / MANIFEST).is_file()
    except OSError:  # The name is too long, or a folder above may not be entered.
        return False


def find_bundle(model: str, home: Path) -> Path:
    """Folder of a bundle given as ``auto``, ``starter``, a name in the store, or a path.

    Raises ``ModelNotFound``, and ``BundleError`` for a store that cannot be read.
    """
    known = dict(list_bundles(home))
    if model == AUTO:
        return known.get(DEFAULT, known[STARTER])
    if model in known:
        return known[model]
    path = Path(model)
    if _is_bundle(path):
        return path
    raise ModelNotFound(
        f"There is no model {model!r}.",
        hint=f"Known here: {', '.join(known)}. `millisight build MODEL` makes more.",
    )


def open_bundle(model: str, home: Path) -> Bundle:
    """The bundle that ``find_bundle`` finds, every byte verified, as it is now.

    Raises ``ModelNotFound`` or ``BundleError``.
    """
    return read_bundle(find_bundle(model, home))


def open_bundles(models: Sequence[str], home: Path) -> dict[str, Bundle]:
    """The bundles of ``models``, each by its name: that of its folder, which in the store is the
    bundle's own.

    Raises what ``open_bundle`` does, and ``SettingsError`` where two have one name.
    """
    found: dict[str, Path] = {}
    for model in models:
        path = find_bundle(model, home)
        # A link's own name counts, not that of what it leads to.
        own = Path(os.path.abspath(path)).name  # noqa: PTH100
        # Not every name of a folder is text.
        name = os.fsencode(own).decode(errors="replace")
        if name in found:
            again = "twice" if found[name].resolve() == path.resolve() else "to two models"
            raise SettingsError(
                f"The name {name} is given {again}: {found[name]} and {path}.",
                hint="Each model is served once, by the name of its folder; rename one of them.",
            )
        found[name] = path
    return {name: read_bundle(path) for name, path in found.items()}


def one_model(models: Sequence[str]) -> str:
    """The one that a command takes. Raises ``SettingsError`` where several are given."""
    if len(models) > 1:
        raise SettingsError(
            f"This takes one model, and {len(models)} are given: {', '.join(models)}.",
            hint="Choose one with --model.",
        )
    return models[0]


def check_name(name: str) -> str:
    """``name`` if it may name a bundle, else ``BundleError``."""
    if not _NAME.fullmatch(name) or name in (AUTO, STARTER):
        raise BundleError(
            f"A bundle cannot be named {name!r}.",
            hint="Use letters, digits, dots, dashes and underscores; auto and starter are taken.",
        )
    return name


@contextlib.contextmanager
def new_bundle(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``target`` if the block succeeds and vanishes if not.

    It lies beside ``target`` so that the last step is a rename: a half-written bundle is never
    seen. An older bundle of that name is replaced only then.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as temporary:
        draft = Path(temporary) / "new"
        draft.mkdir()
        yield draft
        if target.exists():
            target.rename(Path(temporary) / "old")
        draft.rename(target)


def write_labels(
    folder: Path, labels: Sequence[str], translations: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Write ``labels.json``: the class names in the order of the logits, and the same in other
    languages."""
    content = {
        "labels": list(labels),
        "translations": {tag: list(names) for tag, names in (translations or {}).items()},
    }
    text = json.dumps(content, ensure_ascii=False, indent=0)
    (folder / LABELS).write_text(text + "\n", encoding="utf-8")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` last, with its own digest, flushed to disk."""
    with (folder / MANIFEST).open("w", encoding="utf-8") as file:
        file.write(_manifest_text(manifest))
        file.flush()
        os.fsync(file.fileno())


def _manifest_text(manifest: Manifest) -> str:
    content = manifest.model_dump(mode="json") | {"digest": manifest.digest()}
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
