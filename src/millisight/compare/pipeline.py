"""``compare``: every engine prepared, measured and checked."""

import importlib.util
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from millisight.build.steps import Step
from millisight.build.zoo import LoadedModel
from millisight.compare.engines import REFERENCE, find_engine
from millisight.compare.findings import Results, Row, cores_in_words, latencies, throughputs
from millisight.compare.pictures import Pictures, agreement
from millisight.compare.rounds import (
    Effort,
    Findings,
    Hall,
    measure,
    processes_against_one,
)
from millisight.compare.source import Choice, Source, gather
from millisight.compare.station import WARM_UP
from millisight.cpu import find_cores
from millisight.devices import check_device
from millisight.errors import MillisightError
from millisight.record import cpu_model
from millisight.settings import Settings

_PACKAGES = ("torch", "torchvision", "torchao", "onnx", "onnxruntime", "openvino", "nncf", "numpy")
_CALIBRATION = 128
"""Pictures that INT8 is calibrated with. A build takes more, for minutes that are not at hand."""

_CLAIMED = "torch_traced"
"""What is advised most often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions(Choice):
    """What the user asked for; see ``millisight compare --help``."""

    threads: tuple[int, ...]
    effort: Effort
    engines: tuple[str, ...]
    claims: bool = False
    """Measure processes against each other too."""


def compare(options: CompareOptions, settings: Settings, step: Step) -> Results:
    """Measure ``options.engines``, which begin with the reference.

    Raises ``DeviceNotFound``, ``DataError`` and what ``load_model`` raises. What goes wrong with
    one engine is in its row.
    """
    started = time.monotonic()
    check_device(settings.device)
    with tempfile.TemporaryDirectory() as scratch:
        whole, pictures = gather(options, settings, Path(scratch), step)
        calibration = replace(whole.pictures, samples=whole.samples(_CALIBRATION))
        source = replace(whole, pictures=calibration)
        folders, failed = _prepare(source, options.engines)
        file = Path(scratch) / "pictures.npy"
        np.save(file, pictures.pixels)
        hall = Hall(folders, file, find_cores(), settings.device)
        found = measure(hall, options.threads, options.effort, step)
        found.failed.update(failed)
        rows = tuple(_row(name, folders, pictures, found) for name in options.engines)
        processes = None
        if options.claims and _CLAIMED in found.answers:
            # One more is not worth the loss of all that was measured.
            title = "Measuring one process a core against one process"
            with step(title), suppress(MillisightError):
                processes = processes_against_one(hall, _CLAIMED, options.effort)
    return Results(
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        machine=f"{cpu_model()}; cores: {hall.cores.describe()}; {_memory_gb():.0f} GB of memory",
        model=_described(source.model),
        pictures=f"{pictures.source}; INT8 calibrated with {len(calibration.samples)} inputs of "
        f"{calibration.source}",
        method=_method(options, settings.device),
        versions=_versions(),
        rows=rows,
        processes=processes,
        seconds=round(time.monotonic() - started, 1),
        threads=options.threads,
    )


def _described(model: LoadedModel) -> str:
    return f"{model.architecture}, {len(model.labels)} classes; weights: {model.weights.source}"


def _prepare(source: Source, engines: tuple[str, ...]) -> tuple[dict[str, Path], dict[str, str]]:
    """A folder for each engine that could write into it, and why the others could not."""
    folders: dict[str, Path] = {}
    failed: dict[str, str] = {}
    for name in engines:
        engine = find_engine(name)
        missing = [one for one in engine.packages if importlib.util.find_spec(one) is None]
        if missing:
            failed[name] = f"needs {' and '.join(missing)}, which is not installed"
            continue
        folder = source.scratch / name
        folder.mkdir()
        with source.step(f"Preparing {name}"):
            try:
                engine.prepare(source, folder)
            except MillisightError as error:
                failed[name] = error.message
            except Exception as error:  # noqa: BLE001 (libraries fail in ways of their own)
                failed[name] = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            else:
                folders[name] = folder
    return folders, failed


def _row(name: str, folders: Mapping[str, Path], pictures: Pictures, found: Findings) -> Row:
    engine = find_engine(name)
    row = Row(
        engine=name,
        title=engine.title,
        precision=engine.precision,
        failed=found.failed.get(name, ""),
        size_mb=_size_mb(folders[name]) if name in folders else None,
        latency=latencies(found.samples, name, REFERENCE),
        throughput=throughputs(found.samples, name, REFERENCE),
    )
    if name in found.loaded:
        loaded = found.loaded[name]
        row = replace(row, load_s=loaded.seconds, memory_mb=loaded.memory_mb)
    if name in found.answers and REFERENCE in found.answers:
        answers, reference = found.answers[name], found.answers[REFERENCE]
        row = replace(
            row,
            accuracy=pictures.accuracy(answers),
            agreement=agreement(reference, answers),
            max_logit_difference=float(np.abs(reference - answers).max()),
        )
    return row


def _size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6


def _method(options: CompareOptions, device: str) -> str:
    effort = options.effort
    return (
        f"{effort.rounds} rounds; in each, every engine has a turn of {effort.seconds:g} s, or one "
        f"call, in a process of its own, after {1e3 * WARM_UP:g} ms of single pictures that "
        "do not count. Processes and their threads are kept to "
        f"{' and then to '.join(map(cores_in_words, options.threads))}, one thread a core. "
        f"OpenVINO on {device}."
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
