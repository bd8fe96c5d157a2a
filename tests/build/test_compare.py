"""Every engine of the comparison answers as torch does, and the command puts them side by side."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from millisight.build.calibrate import CalibrationSet
from millisight.build.zoo import LoadedModel
from millisight.compare.engines import REFERENCE, engine_names, find_engine
from millisight.compare.protocol import Place
from millisight.compare.source import Source
from millisight.errors import EngineUnavailable
from millisight.manifest import Preprocess, Weights
from tests.command import Run
from tests.support import texture

CROP = 32
SMALL = "shufflenet_v2_x0_5"
"""A network of 1.4 million weights."""
PREPROCESS = Preprocess(
    resize=32, crop=CROP, interpolation="bilinear", mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.3)
)


def small_network() -> nn.Module:
    """A few layers of the kinds that image classifiers have."""
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    """What the engines are made of, with pictures of smooth colours."""
    random = np.random.default_rng(7)
    coarse = random.integers(0, 256, (40, 4, 4, 3), np.uint8)
    pixels = list(coarse.repeat(CROP // 4, axis=1).repeat(CROP // 4, axis=2))
    model = LoadedModel(
        "small", small_network(), tuple("abcdefghij"), {}, PREPROCESS,
        Weights(source="a seed", sha256="0" * 64),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        calibration = CalibrationSet("smooth colours", 40, pixels[:32], pixels[32:])
        yield Source(model, calibration, Path(scratch), lambda *_, **__: nullcontext(Silent()))


class Silent:
    """A bar that nobody sees."""

    def advance(self, amount: float) -> None:
        """See ``Bar``."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", engine_names())
def test_every_engine_answers_as_torch_does(name: str, source: Source, tmp_path: Path) -> None:
    engine = find_engine(name)
    for package in engine.packages:
        pytest.importorskip(package)
    try:
        engine.prepare(source, tmp_path)
    except EngineUnavailable as error:
        pytest.skip(error.message)
    infer = engine.load(tmp_path, Place(1, "CPU"))
    pixels = np.stack(source.pictures.check)
    with torch.inference_mode():
        expected = source.network()(torch.from_numpy(pixels)).numpy()
    near = 1e-3 if engine.precision == "float32" else 0.1
    for size in (1, 4):
        logits = infer(pixels[:size])
        assert logits.dtype == np.float32
        assert np.abs(logits - expected[:size]).max() < near


@pytest.mark.filterwarnings("ignore")
def test_exported_int8_holds_no_float32_weights_beside(source: Source, tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    find_engine("torch_static_int8").prepare(source, tmp_path)
    program = torch.export.load(tmp_path / "network.pt2")
    tensors = [*program.state_dict.values(), *program.constants.values()]
    assert sum(one.numel() for one in tensors if one.dtype == torch.int8) > 5000
    assert sum(one.numel() for one in tensors if one.dtype == torch.float32) < 500


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Pictures whose names say a class."""
    folder = tmp_path / "labelled"
    folder.mkdir()
    for number in range(8):
        texture(260, 256, number).save(folder / f"{number}_texture.png")
    return folder


def test_the_command_measures_side_by_side_and_judges_the_claims(
    millisight: Run, tmp_path: Path, labelled: Path, weights_of: Any
) -> None:
    output = tmp_path / "out"
    done = millisight(
        "compare", SMALL, "--weights", weights_of(SMALL), "--images", labelled,
        "--calibration", labelled, "--threads", 1, "--rounds", 2, "--seconds", 0.01,
        "--batch", 2, "--claims", "--output", output, "--engine", "openvino_float32",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    body = json.loads((output / "comparison.json").read_text())
    rows = {row["engine"]: row for row in body["rows"]}
    assert set(rows) == {REFERENCE, "openvino_float32"}
    for row in rows.values():
        assert row["failed"] == ""
        assert row["agreement"] == 100
        assert row["accuracy"]["images"] == 8
        assert {one["batch"] for one in row["throughput"]} == {1, 2}
        assert 5 < row["size_mb"] < 8
    assert rows[REFERENCE]["latency"][0]["ratio"]["median"] == 1
    assert rows["openvino_float32"]["max_logit_difference"] < 1e-2
    page = (output / "comparison.md").read_text()
    assert "| OpenVINO | float32 |" in page
    assert (output / "comparison.svg").read_text().startswith("<?xml")
    assert len(body["claims"]) == 5
    for claim in body["claims"]:
        assert claim["says"] in done.stdout
        assert claim["verdict"] in page
