"""``millisight …`` as a shell would run it, but for the imports.

Importing what the command needs takes a second of a small machine, and what builds ten; these
tests run it hundreds of times. So the fork server of the standard library imports it once, and
each command is a fork of it: a process of its own, with its own streams, environment and exit code.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

Run = Callable[..., "subprocess.CompletedProcess[str]"]

_CONTEXT = multiprocessing.get_context("forkserver")
# Those that are not installed are passed over.
_CONTEXT.set_forkserver_preload(
    [
        *(f"millisight.cli.{name}" for name in ("main", "classify", "evaluate", "search", "tune")),
        *("openvino", "pyarrow.parquet"),
        *("millisight.build", "millisight.train", "millisight.compare.pipeline"),
    ]
)


def run(environ: Mapping[str, str], *arguments: object) -> "subprocess.CompletedProcess[str]":
    """``millisight`` with ``arguments`` and nothing but ``environ`` in its environment."""
    line = ["millisight", *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder, name) for name in ("out", "err")]
        cores = os.sched_getaffinity(0)
        process = _CONTEXT.Process(target=_main, args=(line, dict(environ), streams, cores))
        process.start()
        process.join()
        printed, said = (path.read_text("utf-8") for path in streams)
    assert process.exitcode is not None
    return subprocess.CompletedProcess(line, process.exitcode, printed, said)


def command(home: Path) -> Run:
    """Runs ``millisight`` with ``home`` as its store and torch's cache beside it."""
    own = {"MILLISIGHT_HOME": str(home), "TORCH_HOME": str(home.parent / "torch")}
    return lambda *arguments, **environ: run(os.environ | own | environ, *arguments)


def _main(
    line: list[str], environ: Mapping[str, str], streams: list[Path], cores: set[int]
) -> None:
    for number, path in enumerate(streams, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    # The fork server has those of the test that started it.
    os.sched_setaffinity(0, cores)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = line
    from millisight.cli import main

    main()
