"""What users are told by their type checker."""

import re
import subprocess
import sys
from pathlib import Path

import millisight

ROOT = Path(__file__).parents[1]

PROGRAM = """\
import asyncio
from collections.abc import Iterator
from pathlib import Path

import millisight
from millisight import AsyncClient, Client, Result
from millisight.errors import Overloaded


def here(paths: list[Path]) -> Iterator[Result]:
    with millisight.load("starter", threads=1) as classifier:
        yield from classifier.classify_many(paths, top_k=1)
        reveal_type(classifier.embed(b"").vector)


def there(client: Client, path: Path) -> str:
    try:
        answer = client.predict(path, 5, model="starter", deadline_ms=100)
    except Overloaded as error:
        return f"in {error.retry_after:.0f} s"
    for one in client.predict_many([path, b"", path.open("rb")], return_errors=True):
        reveal_type(one)
    reveal_type(answer.predictions[0].confidence)
    reveal_type(client.explain(path))
    return answer.request_id


async def both(path: Path) -> None:
    async with AsyncClient("http://localhost:8000", api_key="…", timeout=10) as client:
        reveal_type(await client.embed(path))
        async for one in client.predict_many([path], concurrency=2):
            reveal_type(one)
        await asyncio.sleep(0)
"""

REVEALED = [
    "numpy.ndarray",
    "millisight.answers.ServedResult | millisight.errors.MillisightError | OSError",
    "float",
    "bytes",
    "millisight.answers.Embedding",
    "millisight.answers.ServedResult",
]

MISTAKES = """\
import millisight

with millisight.Client("http://localhost:8000", retries=3) as client:
    client.predict(7)
    client.predict("photo.jpg").labels
millisight.Klient
"""


def checked(program: str, folder: Path) -> list[str]:
    """What mypy says of ``program``, line by line, as strictly as it can."""
    (folder / "program.py").write_text(program, encoding="utf-8")
    # With the project's own options, so that what `make check` has read is not read again.
    options = ["--config-file", ROOT / "pyproject.toml", "--strict", "--no-error-summary"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, folder / "program.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return [line.split(": ", 1)[1] for line in done.stdout.splitlines()]


def test_the_types_of_a_users_program_are_known(tmp_path: Path) -> None:
    assert (Path(millisight.__file__).parent / "py.typed").exists()
    said = [
        re.sub(r'note: Revealed type is "(.*)"', r"\1", one) for one in checked(PROGRAM, tmp_path)
    ]
    # What NumPy calls the rest depends on its version.
    assert [re.sub(r"(numpy\.ndarray).*32.*", r"\1", one) for one in said] == REVEALED


def test_mistakes_in_a_users_program_are_seen(tmp_path: Path) -> None:
    said = "\n".join(checked(MISTAKES, tmp_path))
    for kind in ("call-arg", "arg-type", "attr-defined"):
        assert f"[{kind}]" in said
    assert "Klient" in said
