"""``compare`` and ``export`` where what they need is not installed, or they are asked wrongly."""

import importlib.util
import os
from functools import partial
from pathlib import Path

import pytest

from tests import command

run = partial(command.run, os.environ)


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
@pytest.mark.parametrize("command", [("compare",), ("export", "resnet18", "--format", "onnx")])
def test_without_the_extra_a_sentence_says_what_to_install(command: tuple[str, ...]) -> None:
    done = run(*command)
    assert done.returncode == 6
    assert " too.\n" in done.stderr
    assert "make build-env" in done.stderr
    assert "pip install 'millisight[build,compare]'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--threads", "999"), "999 cores are more than there are"),
        (("--threads", "one"), "not a list of numbers"),
        (("--batch", "0"), "not a list of numbers"),
        (("--rounds", "0"), "--rounds"),
        (("--engine", "tensorrt"), "There is no engine 'tensorrt'"),
        (("--engine", "tensorrt"), "There are torch_eager, onnxruntime_float32"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_done(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = run("compare", "--output", str(tmp_path / "out"), *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_name_of_another_format_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    done = run("export", "resnet18", "--format", "openvino", "--output", str(file))
    assert done.returncode == 2
    assert "Name a file that ends in .xml" in done.stderr


def test_a_precision_that_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    done = run(
        "export", "resnet18", "--format", "torchscript", "--precision", "int8",
        "--output", str(file),
    )  # fmt: skip
    assert done.returncode == 2
    assert "torchscript is not written in int8" in done.stderr
    assert "float32" in done.stderr
    assert not file.exists()
