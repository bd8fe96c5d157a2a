"""The documents say what the code does."""

import re
import runpy
from pathlib import Path

import pytest

from millisight.cli import exit_codes
from millisight.cli.main import EPILOG

ROOT = Path(__file__).parents[1]
GENERATE = runpy.run_path(str(ROOT / "docs" / "generate.py"))
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", GENERATE["PAGES"])
def test_reference_pages_follow_from_the_code(page: str) -> None:
    written = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert written == GENERATE["PAGES"][page](), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_the_readme_stays_short_and_its_targets_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"make ([a-z][a-z0-9-]+)", text))
    assert targets >= {"serve", "test", "build-env", "resnet18"}
    assert [name for name in targets if f"\n{name}:" not in makefile] == []


def test_the_readmes_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.support import encode, texture

    (tmp_path / "photo.jpg").write_bytes(encode(texture(400, 300), "JPEG"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MILLISIGHT_HOME", str(tmp_path))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})  # noqa: S102
    assert "%" in capsys.readouterr().out


def test_what_holds_the_promises_of_security_is_there() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "millisight"
    [table] = re.findall(r"\| promise .*\n\|[-|]+\n((?:\|.*\n)+)", text)
    for promise in table.splitlines():
        *_, how, held_by, _ = promise.split("|")
        tests = re.findall(r"`(tests/[^`]+)`", held_by)
        assert tests, f"nothing holds: {promise}"
        assert [name for name in tests if not (ROOT / name).is_file()] == []
        for name in re.findall(r"`([\w/]+\.py)`", how):
            places = (package / name, package / "server" / name)
            assert any(place.is_file() for place in places), name


def test_decisions_stay_short() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert decisions
    for decision in decisions:
        text = decision.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 40
        assert {"## Context", "## Decision", "## Price"} <= set(text.splitlines())


def test_every_exit_code_is_told() -> None:
    codes = {code for code in vars(exit_codes).values() if isinstance(code, int)}
    text = (ROOT / "docs" / "guides" / "shell.md").read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == codes
    assert {
        int(code) for code in re.findall(r"\b\d+\b", EPILOG.partition("Exit codes")[2])
    } == codes
