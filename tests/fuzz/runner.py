"""Runs a fuzz target under atheris, which tries what makes the code go where it has not been yet.

    python -m tests.fuzz.decoder --seconds 60
    python -m tests.fuzz.decoder tests/fuzz/found/decoder-crash-…

The second form tries files again, and needs no atheris. A target has its seeds and a ``check`` that
raises for an input that is handled wrongly.
"""

import argparse
import contextlib
import importlib.util
import logging
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

FOUND = Path(__file__).parent / "found"
"""Where inputs are put that are handled wrongly."""

_INSTRUMENTED = ["millisight", "PIL", "starlette", "python_multipart"]
_LIMITS = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=8192"]
"""An input that takes ten seconds or two gigabytes is a find too."""

_NOISE = re.compile(r'INFO: Instrumenting|_?TIFF|tempfile|#\d+\s+(NEW|REDUCE) |"|###')
_STATE = re.compile(r"#(\d+)\s+(\w+)\s+cov: (\d+) ft: \d+ corp: (\d+)/")


def main(target: str, seeds: Sequence[bytes], check: Callable[[bytes], None]) -> int:
    """The command line of the module ``tests.fuzz.<target>``; the exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.fuzz.{target}")
    parser.add_argument("files", nargs="*", type=Path, help="try these, and nothing else")
    parser.add_argument("--runs", type=int, default=-1, help="how many inputs to try")
    parser.add_argument("--seconds", type=int, default=0, help="how long to try; 60 without --runs")
    options = parser.parse_args()
    if options.files:
        for file in options.files:
            check(file.read_bytes())
        return 0
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is missing; it comes with: pip install -e '.[fuzz]'")
    seconds = options.seconds or (60 if options.runs < 0 else 0)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            Path(corpus, f"seed-{number}").write_bytes(seed)
        return _watch(target, corpus, f"-runs={options.runs}", f"-max_total_time={seconds}")


def _watch(target: str, corpus: str, *limits: str) -> int:
    """Fuzz in another process, as libFuzzer ends its own; sum up what came of it."""
    FOUND.mkdir(exist_ok=True)
    before = set(FOUND.iterdir())
    prefix = f"-artifact_prefix={FOUND}/{target}-"
    started = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz.runner", target, prefix, *_LIMITS, *limits, corpus]
    states = []
    # Ctrl-C stops both processes, and what was done until then counts.
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as fuzzing,
        contextlib.suppress(KeyboardInterrupt),
    ):
        for line in fuzzing.stderr or ():
            if state := _STATE.match(line):
                states.append(state)
            if not _NOISE.match(line):
                sys.stderr.write(line)
    found = [path.name for path in sorted(set(FOUND.iterdir()) - before)]
    seconds = time.monotonic() - started
    print(
        f"{target}: {_summary(states)} in {seconds:.0f} s; found: {', '.join(found) or 'nothing'}"
    )
    return 1 if found or fuzzing.returncode else 0


def _summary(states: Sequence["re.Match[str]"]) -> str:
    """``states`` are libFuzzer's own words, which end with ``DONE`` if nothing was found."""
    seeds = next((state for state in states if state[2] == "INITED"), None)
    if seeds is None:
        return "no input tried"
    last = states[-1]
    at_least = "" if last[2] == "DONE" else "over "
    return (
        f"{at_least}{int(last[1]):,} inputs, {last[3]} branches reached ({seeds[3]} by the seeds), "
        f"{last[4]} inputs worth keeping ({seeds[4]} of them seeds)"
    )


def _fuzz(target: str, arguments: Sequence[str]) -> None:
    """Fuzz in this process, and end it."""
    import atheris

    with atheris.instrument_imports(include=_INSTRUMENTED):
        check = importlib.import_module(f"tests.fuzz.{target}").check
    # As the server does it; what libraries log of damaged input would only slow this down.
    warnings.filterwarnings("ignore", module="PIL")
    logging.disable()
    atheris.Setup([target, *arguments], check)
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz(sys.argv[1], sys.argv[2:])
