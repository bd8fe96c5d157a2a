"""Official weights: fetched from their host or a mirror, verified, and nothing kept when not."""

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torchvision.models import ResNet, ResNet18_Weights, Weights, WeightsEnum
from torchvision.models._api import BUILTIN_MODELS, register_model
from torchvision.models.resnet import BasicBlock
from torchvision.transforms._presets import ImageClassification

from millisight.build.calibrate import random_crops
from millisight.build.verify import eager_logits
from millisight.build.zoo import load_model, model_names
from millisight.errors import ModelNotFound, WeightsUnavailable
from tests.build.servers import Published, weights_host
from tests.command import Run

OFFICIAL = "resnet18-f37072fd.pth"


class _Bar:
    def advance(self, amount: float) -> None:
        pass


@contextmanager
def step(_title: str, *, total: float = 0) -> Iterator[_Bar]:  # noqa: ARG001
    yield _Bar()


@pytest.fixture
def host() -> Iterator[Published]:
    with weights_host() as published:
        yield published


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    """An empty cache of torch's."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "hub"))
    yield tmp_path / "hub" / "checkpoints"
    torch.hub.set_dir(before)


@pytest.fixture
def published_model(host: Published, weights_of: Callable[..., Path]) -> Iterator[str]:
    """A model in torchvision's registry whose weights ``host`` publishes, as torchvision's are."""
    content = weights_of("resnet18").read_bytes()
    file = f"tiny18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    host.files[file] = content

    class Tiny18_Weights(WeightsEnum):  # noqa: N801 (torchvision's form of name)
        IMAGENET1K_V1 = Weights(
            url=f"{host.base}/models/{file}",
            transforms=partial(ImageClassification, crop_size=192, resize_size=200),
            meta={"categories": ResNet18_Weights.IMAGENET1K_V1.meta["categories"]},
        )
        DEFAULT = IMAGENET1K_V1

    def tiny18(
        *, weights: Tiny18_Weights | None = None, progress: bool = True, **options: Any
    ) -> ResNet:
        model = ResNet(BasicBlock, [2, 2, 2, 2], **options)
        if weights is not None:
            model.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))
        return model

    # The registry finds the weights through the annotation and lists models by their module.
    tiny18.__annotations__["weights"] = Tiny18_Weights | None
    tiny18.__module__ = "torchvision.models.tiny18"
    register_model()(tiny18)
    yield "tiny18"
    del BUILTIN_MODELS["tiny18"]


def load(name: str, mirror: str = "") -> Any:
    return load_model(name, weights=None, labels=None, mirror=mirror, step=step)


@pytest.mark.usefixtures("cache")
def test_published_weights_are_loaded_with_their_own_labels_and_preprocessing(
    published_model: str, host: Published, weights_of: Callable[..., Path]
) -> None:
    model = load(published_model)
    expected = torch.load(weights_of("resnet18"), weights_only=True)
    assert all(
        torch.equal(value, expected[name]) for name, value in model.module.state_dict().items()
    )
    assert (model.preprocess.resize, model.preprocess.crop) == (200, 192)
    assert model.labels[:2] == ("tench", "goldfish")
    assert len(model.labels) == 1000
    assert model.weights.source == "torchvision Tiny18_Weights.IMAGENET1K_V1"
    assert model.weights.url.startswith(host.base)
    assert model.weights.sha256 == hashlib.sha256(weights_of("resnet18").read_bytes()).hexdigest()
    assert not model.module.training


@pytest.mark.usefixtures("cache")
def test_weights_are_downloaded_once(published_model: str, host: Published) -> None:
    load(published_model)
    load(published_model)
    assert len(host.asked) == 1


def test_a_mirror_replaces_the_official_host(
    published_model: str, host: Published, cache: Path
) -> None:
    with weights_host() as mirror:
        mirror.files = dict(host.files)
        load(published_model, mirror=f"{mirror.base}/copies/")
        assert mirror.asked == [f"/copies/{next(iter(host.files))}"]
    assert host.asked == []
    assert [path.name for path in cache.iterdir()] == list(host.files)


def test_tampered_weights_are_refused_and_not_kept(
    published_model: str, host: Published, cache: Path
) -> None:
    name, content = next(iter(host.files.items()))
    host.files[name] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(WeightsUnavailable, match="not the official ones"):
        load(published_model)
    assert list(cache.iterdir()) == []


def test_truncated_weights_are_refused_and_not_kept(
    published_model: str, host: Published, cache: Path
) -> None:
    host.cut_after = 100_000
    with pytest.raises(WeightsUnavailable, match="100000 of"):
        load(published_model)
    assert list(cache.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_fetched_again(
    published_model: str, host: Published, cache: Path
) -> None:
    name = next(iter(host.files))
    cache.mkdir(parents=True)
    (cache / name).write_bytes(b"not what it should be")
    load(published_model)
    assert (cache / name).read_bytes() == host.files[name]


@pytest.mark.usefixtures("cache")
def test_weights_whose_name_carries_no_digest_are_not_taken_on_trust(
    published_model: str, host: Published
) -> None:
    host.files = {"x.pth": b""}
    weights = torchvision.models.get_model_weights(published_model).DEFAULT
    from millisight.build.download import fetch_weights

    with pytest.raises(WeightsUnavailable, match="digest"):
        fetch_weights(weights.url.replace("-", "_"), step=step)


def test_a_host_that_refuses_fails_at_once_and_says_what_to_do(millisight: Run, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    done = millisight("build", "resnet18", MILLISIGHT_WEIGHTS_MIRROR=f"http://127.0.0.1:{port}")
    assert done.returncode == 7
    assert "could not be downloaded" in done.stderr
    assert "--weights FILE" in done.stderr
    assert "MILLISIGHT_WEIGHTS_MIRROR" in done.stderr
    assert "Traceback" not in done.stderr
    assert not home.exists()


def test_a_host_that_stays_silent_is_given_up_on(millisight: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mirror = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = millisight("build", "resnet18", "--weights-mirror", mirror)
    assert done.returncode == 7
    assert "timed out" in done.stderr


def test_a_missing_file_is_reported_with_the_servers_words(
    millisight: Run, host: Published
) -> None:
    done = millisight("build", "resnet18", "--weights-mirror", host.base)
    assert done.returncode == 7
    assert "404" in done.stderr
    assert host.asked == [f"/{OFFICIAL}"]


def test_other_weights_under_the_official_name_are_refused(
    millisight: Run, host: Published, home: Path, weights_of: Callable[..., Path]
) -> None:
    host.files[OFFICIAL] = weights_of("resnet18").read_bytes()
    done = millisight("build", "resnet18", "--weights-mirror", host.base)
    assert done.returncode == 7
    assert "not f37072fd" in done.stderr
    assert [path for path in home.parent.rglob("*") if path.is_file()] == []


def test_every_torchvision_classification_model_can_be_named() -> None:
    names = model_names()
    assert {"resnet18", "resnet50", "mobilenet_v3_small", "efficientnet_lite0"} <= set(names)
    assert not any("rcnn" in name or name.startswith("raft") for name in names)


def test_an_unknown_model_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(ModelNotFound) as caught:
        load("resnet81")
    assert "resnet18" in caught.value.hint


def test_preprocessing_in_torch_equals_the_weights_own_transform(
    weights_of: Callable[..., Path],
) -> None:
    from PIL import Image

    model = load_model(
        "resnet18", weights=weights_of("resnet18"), labels=None, mirror="", step=step
    )
    noise = np.random.default_rng(3).integers(0, 256, (256, 256, 3), np.uint8)
    picture = Image.fromarray(noise)
    crop = np.asarray(picture.crop((16, 16, 240, 240)))
    ours = eager_logits(model.module, [crop], model.preprocess)
    with torch.inference_mode():
        official = ResNet18_Weights.IMAGENET1K_V1.transforms()(picture)[None]
        theirs = model.module(official).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_random_crops_are_the_same_on_every_call() -> None:
    from PIL import Image

    noise = np.random.default_rng(4).integers(0, 256, (300, 400, 3), np.uint8)
    preprocess = load("efficientnet_lite0").preprocess
    first, second = (random_crops([Image.fromarray(noise)], 5, preprocess) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    assert not np.array_equal(first[0], first[1])
