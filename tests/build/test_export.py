"""``millisight export``: files that other programs open, and that answer as the bundle does."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision import models

from millisight.image import Limits, decode
from tests.build.conftest import normalised
from tests.command import Run, command
from tests.support import PREPROCESS, encode, texture

NETWORK = "shufflenet_v2_x0_5"
"""Small, and with the geometry of all of ImageNet's."""

CPP = """
#include <ATen/ops/full.h>
#include <torch/csrc/jit/serialization/import.h>
#include <iostream>
int main(int, char** argv) {
  auto module = torch::jit::load(argv[1]);
  auto pixels = at::full({1, 224, 224, 3}, 128, at::kByte);
  auto logits = module.forward({pixels}).toTensor();
  std::cout << logits.argmax(1).item<int64_t>() << std::endl;
}
"""


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return decode(encode(texture(400, 300), "PNG"), PREPROCESS, Limits()).pixels


@pytest.fixture(scope="module")
def expected(weights_of: Callable[[str], Path]) -> Callable[[NDArray[np.uint8]], Any]:
    """What torch itself answers to pixels."""
    module = models.get_model(NETWORK, weights=None)
    module.load_state_dict(torch.load(weights_of(NETWORK), weights_only=True))
    module.eval()

    def ask(pixels: NDArray[np.uint8]) -> Any:
        with torch.inference_mode():
            return module(normalised(pixels))[0].numpy()

    return ask


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory, weights_of: Callable[[str], Path]
) -> Callable[..., Path]:
    """Exports the network to a file, after looking at what the command says."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "pictures").mkdir()
    for number in range(8):
        texture(300, 260, number).save(folder / "pictures" / f"{number}.png")

    def export(name: str, kind: str) -> Path:
        file = folder / name
        done = command(folder / "home")(
            "export", NETWORK, "--weights", weights_of(NETWORK), "--format", kind,
            "--output", file, "--images", folder / "pictures", "--calibration", folder / "pictures",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"Written to {file}" in done.stdout
        assert "same first answer on 100.00 %" in done.stdout
        return file

    return export


@pytest.fixture(scope="module")
def torchscript(exported: Callable[..., Path]) -> Path:
    return exported("net.pt", "torchscript")


def test_torchscript_opens_without_torchvision(
    torchscript: Path, tmp_path: Path, expected: Any, pixels: Any
) -> None:
    np.save(tmp_path / "pixels.npy", pixels[None])
    code = (
        "import sys, warnings; warnings.simplefilter('ignore'); import numpy, torch\n"
        "extra = {'millisight.json': ''}\n"
        "net = torch.jit.load(sys.argv[1], _extra_files=extra)\n"
        "print(*net(torch.from_numpy(numpy.load(sys.argv[2])))[0].tolist())\n"
        "print(extra['millisight.json'].decode())\n"
        "assert 'torchvision' not in sys.modules"
    )
    line = [sys.executable, "-c", code, torchscript, tmp_path / "pixels.npy"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    logits, facts = done.stdout.splitlines()
    assert np.abs(np.array(logits.split(), float) - expected(pixels)).max() < 1e-3
    assert json.loads(facts)["input"].startswith("pixels: uint8 (n, 224, 224, 3)")


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_torchscript_runs_in_plain_libtorch(
    torchscript: Path, tmp_path: Path, expected: Any
) -> None:
    from torch.utils import cpp_extension

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
    line = [tmp_path / "main", torchscript]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    grey = np.full((224, 224, 3), 128, np.uint8)
    assert int(done.stdout) == expected(grey).argmax()


@pytest.mark.filterwarnings("ignore")
def test_onnx_opens_in_onnx_runtime_and_describes_its_input(
    exported: Callable[..., Path], expected: Any, pixels: Any
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    file = exported("net.onnx", "onnx")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (entrance,) = session.get_inputs()
    assert (entrance.name, entrance.type) == ("pixels", "tensor(uint8)")
    assert entrance.shape[1:] == [224, 224, 3]
    (logits,) = session.run(["logits"], {"pixels": np.stack([pixels, pixels])})
    assert np.abs(logits[1] - expected(pixels)).max() < 1e-3
    facts = session.get_modelmeta().custom_metadata_map["millisight.json"]
    assert len(json.loads(facts)["labels"]) == 1000


def test_accuracy_is_reported_beside_that_of_the_bundle_with_the_same_weights(
    millisight: Run, tmp_path: Path, shared_data: Path
) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for path in sorted((shared_data / "imagenet-samples").glob("*.jpg"))[:16]:
        (photographs / path.name).symlink_to(path)
    done = millisight(
        "export", "efficientnet_lite0", "--format", "openvino", "--output", tmp_path / "net.xml",
        "--images", photographs, "--calibration", photographs, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert body["file"] == str(tmp_path / "net.xml")
    assert body["bundle"] == "the bundle starter (int8)"
    assert (body["accuracy"]["images"], body["bundle_accuracy"]["images"]) == (16, 16)
    assert (tmp_path / "net.bin").exists()
