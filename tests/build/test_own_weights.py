"""``--weights FILE``: a state dict of the user's own, or a sentence that says what is wrong."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from millisight.build.checkpoint import read_checkpoint
from millisight.errors import BadWeights
from tests.command import Run


class Evil:
    """Would create a file when unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.proof,)


@pytest.fixture
def build(millisight: Run) -> Run:
    """``millisight build resnet18 --precision float32`` with more arguments."""
    return lambda *arguments, **environ: millisight(
        "build", "resnet18", "--precision", "float32", *arguments, **environ
    )


def manifest_of(home: Path, name: str = "resnet18") -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((home / "bundles" / name / "manifest.json").read_text())
    return manifest


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
def test_each_usual_wrapper_of_a_state_dict_is_known(tmp_path: Path, wrapper: str) -> None:
    torch.save({wrapper: {"module.fc.bias": torch.ones(2)}, "epoch": 3}, tmp_path / "x.pth")
    state = read_checkpoint(tmp_path / "x.pth").state
    assert {name: value.tolist() for name, value in state.items()} == {"fc.bias": [1, 1]}


def test_what_a_checkpoint_says_of_preprocessing_must_make_sense(tmp_path: Path) -> None:
    told = {"state_dict": {"fc.bias": torch.ones(2)}, "millisight_preprocess": {"resize": -1}}
    torch.save(told, tmp_path / "x.pth")
    with pytest.raises(BadWeights, match="not a weights file"):
        read_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "named",
    [
        '["crazing", "夹杂", "patches"]',
        pytest.param(
            '{"2": "patches", "0": ["n1", "crazing"], "1": "夹杂"}', marks=pytest.mark.long
        ),
    ],
    ids=["a list", "TorchServe's index_to_name.json"],
)
def test_a_state_dict_is_found_inside_a_training_checkpoint(
    build: Run, home: Path, tmp_path: Path, weights_of: Callable[..., Path], named: str
) -> None:
    state = torch.load(weights_of("resnet18", 3), weights_only=True)
    file = tmp_path / "checkpoint.pth"
    wrapped = {f"module.{name}": value for name, value in state.items()}
    torch.save({"state_dict": wrapped, "epoch": 3}, file)
    labels = tmp_path / "labels.json"
    labels.write_text(named, encoding="utf-8")
    done = build("--weights", file, "--labels", labels, "--name", "steel")
    assert done.returncode == 0, done.stderr
    manifest = manifest_of(home, "steel")
    assert manifest["class_count"] == 3
    assert manifest["weights"]["source"] == "the file checkpoint.pth"
    assert manifest["measured"]["max_logit_difference"] < 1e-3
    written = json.loads((home / "bundles/steel/labels.json").read_text(encoding="utf-8"))
    assert written == {"labels": ["crazing", "夹杂", "patches"], "translations": {}}


@pytest.mark.long
def test_imagenet_names_are_taken_for_a_thousand_classes(
    build: Run, home: Path, weights_of: Callable[..., Path]
) -> None:
    assert build("--weights", weights_of("resnet18")).returncode == 0
    assert manifest_of(home)["class_count"] == 1000
    content = json.loads((home / "bundles/resnet18/labels.json").read_text())
    labels, chinese = content["labels"], content["translations"]["zh"]
    assert (labels[0], labels[999]) == ("tench", "toilet tissue")
    assert (chinese[7], chinese[999]) == ("公鸡", "卫生纸")


def fails(done: Any, code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_other_class_counts_need_names(
    build: Run, home: Path, weights_of: Callable[..., Path]
) -> None:
    fails(build("--weights", weights_of("resnet18", 3)), 7, "3 classes", "--labels FILE")
    assert not home.exists()


def test_labels_that_do_not_match_are_counted(
    build: Run, tmp_path: Path, weights_of: Callable[..., Path]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("one\ntwo\n")
    done = build("--weights", weights_of("resnet18", 3), "--labels", labels)
    fails(done, 3, "names 2 classes", "for 3")


@pytest.mark.parametrize(
    ("name", "content"),
    [("missing.txt", None), ("bad.json", b"{"), ("object.json", b"{}"), ("latin.txt", b"\xff\xfe")],
)
def test_an_unreadable_labels_file_is_named(
    build: Run,
    tmp_path: Path,
    weights_of: Callable[..., Path],
    name: str,
    content: bytes | None,
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = build("--weights", weights_of("resnet18", 3), "--labels", tmp_path / name)
    fails(done, 3, name)


def test_weights_of_another_architecture_are_refused_by_the_first_mismatch(
    build: Run, weights_of: Callable[..., Path]
) -> None:
    fails(build("--weights", weights_of("mobilenet_v3_small")), 7, "it has no fc.weight")
    fails(build("--weights", weights_of("resnet50")), 7, "layer1.0.conv1.weight has shape")


def test_missing_and_extra_parameters_are_named(
    build: Run, tmp_path: Path, weights_of: Callable[..., Path]
) -> None:
    state = torch.load(weights_of("resnet18"), weights_only=True)
    file = tmp_path / "odd.pth"
    torch.save({k: v for k, v in state.items() if k != "layer3.1.bn2.weight"}, file)
    fails(build("--weights", file), 7, "it has no layer3.1.bn2.weight")
    torch.save(state | {"head.scale": torch.ones(1)}, file)
    fails(build("--weights", file), 7, "it has head.scale")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 broken", pickle.dumps([1, 2])])
def test_what_is_not_a_checkpoint_is_refused(build: Run, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(content)
    fails(build("--weights", file), 7, "is not a weights file")


def test_a_missing_weights_file_is_named(build: Run, tmp_path: Path) -> None:
    fails(build("--weights", tmp_path / "none.pth"), 7, "none.pth")


def test_code_hidden_in_a_weights_file_is_not_run(build: Run, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    file = tmp_path / "evil.pth"
    torch.save({"fc.weight": Evil(proof)}, file)
    fails(build("--weights", file), 7, "is not a weights file")
    assert not proof.exists()
