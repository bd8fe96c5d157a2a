"""``millisight export``: files that other programs open, and that answer as the bundle does."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from millisight.image import Limits, decode
from tests.build.conftest import Run, normalised, resnet18
from tests.support import PREPROCESS, encode, texture

CPP = """
#include <torch/script.h>
#include <iostream>
int main(int, char** argv) {
  auto module = torch::jit::load(argv[1]);
  auto pixels = torch::full({1, 224, 224, 3}, 128, torch::kUInt8);
  auto logits = module.forward({pixels}).toTensor();
  std::cout << logits.argmax(1).item<int64_t>() << std::endl;
}
"""


@pytest.fixture
def pixels() -> Any:
    return decode(encode(texture(400, 300), "PNG"), PREPROCESS, Limits()).pixels


def exported(millisight: Run, weights: Path, output: Path, kind: str, *more: object) -> str:
    done = millisight(
        "export", "resnet18", "--weights", weights, "--format", kind, "--output", output, *more
    )
    assert done.returncode == 0, done.stderr
    assert f"Written to {output}" in done.stdout
    return done.stdout


def test_torchscript_opens_without_torchvision(
    millisight: Run, tmp_path: Path, weights_of: Any, pixels: Any
) -> None:
    file = tmp_path / "net.pt"
    said = exported(millisight, weights_of("resnet18"), file, "torchscript")
    assert "same first answer on 100.00 %" in said
    np.save(tmp_path / "pixels.npy", pixels[None])
    code = (
        "import sys, warnings; warnings.simplefilter('ignore'); import numpy, torch\n"
        "extra = {'millisight.json': ''}\n"
        "net = torch.jit.load(sys.argv[1], _extra_files=extra)\n"
        "print(*net(torch.from_numpy(numpy.load(sys.argv[2])))[0].tolist())\n"
        "print(extra['millisight.json'].decode())\n"
        "assert 'torchvision' not in sys.modules"
    )
    command = [sys.executable, "-c", code, file, tmp_path / "pixels.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    logits, facts = done.stdout.splitlines()
    with torch.inference_mode():
        expected = resnet18(weights_of("resnet18"))(normalised(pixels))[0].numpy()
    assert np.abs(np.array(logits.split(), float) - expected).max() < 1e-3
    assert json.loads(facts)["input"].startswith("pixels: uint8 (n, 224, 224, 3)")


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_torchscript_runs_in_plain_libtorch(
    millisight: Run, tmp_path: Path, weights_of: Any
) -> None:
    from torch.utils import cpp_extension

    file = tmp_path / "net.pt"
    exported(millisight, weights_of("resnet18"), file, "torchscript")
    (tmp_path / "main.cpp").write_text(CPP)
    libraries = cpp_extension.library_paths()
    subprocess.run(
        [
            "g++", "-std=c++20", "-O0", "main.cpp", "-o", "main",
            *(f"-I{path}" for path in cpp_extension.include_paths()),
            *(f"-L{path}" for path in libraries), *(f"-Wl,-rpath,{path}" for path in libraries),
            "-Wl,--no-as-needed", "-ltorch", "-ltorch_cpu", "-lc10",
        ],
        cwd=tmp_path, check=True,
    )  # fmt: skip
    done = subprocess.run([tmp_path / "main", file], capture_output=True, text=True, check=True)
    grey = np.full((224, 224, 3), 128, np.uint8)
    with torch.inference_mode():
        expected = resnet18(weights_of("resnet18"))(normalised(grey)).argmax().item()
    assert int(done.stdout) == expected


@pytest.mark.filterwarnings("ignore")
def test_onnx_opens_in_onnx_runtime_and_describes_its_input(
    millisight: Run, tmp_path: Path, weights_of: Any, pixels: Any
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    file = tmp_path / "net.onnx"
    exported(millisight, weights_of("resnet18"), file, "onnx")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (entrance,) = session.get_inputs()
    assert (entrance.name, entrance.type) == ("pixels", "tensor(uint8)")
    assert entrance.shape[1:] == [224, 224, 3]
    (logits,) = session.run(["logits"], {"pixels": np.stack([pixels, pixels])})
    with torch.inference_mode():
        expected = resnet18(weights_of("resnet18"))(normalised(pixels))[0].numpy()
    assert np.abs(logits[1] - expected).max() < 1e-3
    facts = session.get_modelmeta().custom_metadata_map["millisight.json"]
    assert len(json.loads(facts)["labels"]) == 1000


def test_accuracy_is_reported_beside_that_of_the_bundle_with_the_same_weights(
    millisight: Run, tmp_path: Path, shared_data: Path
) -> None:
    done = millisight(
        "export", "efficientnet_lite0", "--format", "openvino",
        "--output", tmp_path / "net.xml", "--images", shared_data / "imagenet-samples",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Against the bundle starter (int8)" in done.stdout
    assert "Accuracy: top-1" in done.stdout
    assert (tmp_path / "net.bin").exists()


def test_a_precision_that_the_format_cannot_hold_is_refused(
    millisight: Run, tmp_path: Path
) -> None:
    done = millisight(
        "export", "efficientnet_lite0", "--format", "torchscript", "--precision", "int8",
        "--output", tmp_path / "x.pt",
    )  # fmt: skip
    assert done.returncode == 2
    assert "torchscript is not written in int8" in done.stderr
    assert list(tmp_path.iterdir()) == []
