"""What the guide and the notebook show is what is printed."""

import ast
import asyncio
import inspect
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import CAT, COFFEE, KEY
from tests.e2e.conftest import Server

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "client.md").read_text(encoding="utf-8")
NOTEBOOK = json.loads((ROOT / "examples" / "client.ipynb").read_text(encoding="utf-8"))


def without_digits(text: str) -> str:
    """Processors differ in the last digits of a probability, and in their speed."""
    return re.sub(r"\d+", "…", text)


def test_the_guides_python_prints_what_it_says(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for picture in (CAT, COFFEE):
        shutil.copy(picture, tmp_path)
    (tmp_path / "letter.txt").write_text("Dear reader, this is not a picture.")
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL))
    code = code.replace('"http://127.0.0.1:8000"', f'"{server.url}", api_key="{KEY}"')
    names: dict[str, Any] = {}
    exec(compile(code, "guide", "exec"), names)  # noqa: S102
    names["client"].close()
    printed = "".join(re.findall(r"```text\n(.*?)```", GUIDE, re.DOTALL))
    assert without_digits(capsys.readouterr().out) == without_digits(printed)


def test_the_notebook_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MILLISIGHT_HOME", str(tmp_path))
    names: dict[str, Any] = {}
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] != "code":
            continue
        code = compile(
            "".join(cell["source"]), "notebook", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        )
        pending = eval(code, names)  # noqa: S307
        if inspect.iscoroutine(pending):
            asyncio.run(pending)
        printed = "".join("".join(out.get("text", [])) for out in cell["outputs"])
        assert without_digits(capsys.readouterr().out) == without_digits(printed)


def test_the_notebook_is_small_and_was_run() -> None:
    assert (ROOT / "examples" / "client.ipynb").stat().st_size < 150_000
    counts = [one["execution_count"] for one in NOTEBOOK["cells"] if one["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
