"""What the guide shows is what is printed."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Server

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "open-inference-protocol.md").read_text(encoding="utf-8")
EXAMPLES = ROOT / "src" / "millisight" / "server" / "static" / "examples"


def without_digits(text: str) -> str:
    """Processors differ in the last digits of a probability."""
    return re.sub(r"0\.\d{6}", "0.…", text)


@pytest.mark.parametrize("client", ["tritonclient.http", "tritonclient.grpc"])
def test_the_guides_python_prints_what_it_says(
    server: Server,
    grpc_url: str,
    client: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("cat.avif", "coffee.avif"):
        shutil.copy(EXAMPLES / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    url = server.url.removeprefix("http://") if client == "tritonclient.http" else grpc_url
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL))
    code = code.replace("127.0.0.1:8000", url).replace("tritonclient.http", client)
    names: dict[str, Any] = {}
    exec(compile(code, "guide", "exec"), names)  # noqa: S102
    names["client"].close()
    printed = "".join(re.findall(r"```text\n(.*?)```", GUIDE, re.DOTALL))
    assert without_digits(capsys.readouterr().out) == without_digits(printed)
