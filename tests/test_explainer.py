"""Why this label, through the Python API, with the starter answering for real."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import millisight
from millisight import Classifier
from millisight.bundle import Bundle, read_bundle, starter_path
from millisight.engine import FakeEngine
from millisight.errors import BadImage, BadParameter, DeadlineExceeded, NotExplainable, NotReady
from millisight.settings import load_settings
from tests.models import CONFIDENCE, build
from tests.support import encode, texture

PICTURE = texture(500, 400)
SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "imagenet-samples"


@pytest.fixture(scope="module")
def classifier() -> Iterator[Classifier]:
    with millisight.load("starter") as one:
        yield one


def test_the_maps_belong_to_the_classes_that_are_answered(classifier: Classifier) -> None:
    explanation = classifier.explain(PICTURE, 4)
    predictions = [one.prediction for one in explanation.maps]
    assert predictions == classifier.classify(PICTURE, 4).predictions
    assert {one.cells.shape for one in explanation.maps} == {(7, 7)}
    # More of the picture speaks for the first class than for the last of the thousand.
    every = classifier.explain(PICTURE, classes=range(100)).maps
    means = [float(one.cells.mean()) for one in every]
    sure = [one.prediction.confidence for one in every]
    assert np.corrcoef(means, np.log(sure))[0, 1] > 0.99
    assert explanation.model == "efficientnet_lite0"
    assert explanation.timings_ms.total >= explanation.timings_ms.inference > 0


def test_its_confidences_are_of_the_bundles_temperature_too(tmp_path: Path) -> None:
    build(tmp_path, "steel", "steel", confidence=CONFIDENCE)
    with millisight.load("steel", home=tmp_path) as one:
        result = one.classify(PICTURE, 4)
        assert [each.prediction for each in one.explain(PICTURE, 4).maps] == result.predictions
        assert result.uncertain is (result.predictions[0].confidence < 0.5)


def test_maps_of_classes_by_index_come_in_the_order_asked_for(classifier: Classifier) -> None:
    maps = classifier.explain(PICTURE, classes=[967, 0, 281]).maps
    assert [one.prediction.index for one in maps] == [967, 0, 281]
    assert [one.prediction.label for one in maps] == ["espresso", "tench", "tabby"]


def test_the_box_is_the_part_of_the_upright_picture_that_was_seen(classifier: Classifier) -> None:
    wide = classifier.explain(texture(500, 250))
    # Of 512 × 256 the middle 224 × 224.
    assert wide.box == pytest.approx((144 / 512, 16 / 256, 368 / 512, 240 / 256), abs=0.002)
    assert wide.pixels.shape == (224, 224, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = classifier.explain(encode(texture(500, 250), "JPEG", exif=exif))
    assert "exif_rotated" in turned.warnings
    assert turned.box == pytest.approx((16 / 256, 144 / 512, 240 / 256, 368 / 512), abs=0.002)


def test_what_the_map_shows_moves_with_the_picture(classifier: Classifier) -> None:
    seen = classifier.explain(PICTURE).pixels
    index = classifier.classify(seen).predictions[0].index
    maps = [
        classifier.explain(np.ascontiguousarray(pixels), classes=[index]).maps[0].cells
        for pixels in (seen, seen[:, ::-1])
    ]
    straight = np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1]
    mirrored = np.corrcoef(maps[0].ravel(), maps[1][:, ::-1].ravel())[0, 1]
    assert mirrored > max(0.5, straight)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"top_k": 0}, "between 1 and 100"),
        ({"classes": [1000]}, "no class 1000: they are 0 to 999"),
        ({"classes": [-1]}, "no class -1"),
        ({"classes": list(range(101))}, "At most 100"),
    ],
)
def test_wrong_parameters_are_refused(
    classifier: Classifier, options: dict[str, object], words: str
) -> None:
    with pytest.raises(BadParameter, match=words):
        classifier.explain(PICTURE, **options)  # type: ignore[arg-type]


def test_a_damaged_picture_fails_alone(classifier: Classifier) -> None:
    damaged = classifier.submit_explain(encode(PICTURE, "JPEG")[:300])
    whole = classifier.submit_explain(PICTURE)
    with pytest.raises(BadImage):
        damaged.result()
    assert len(whole.result().maps) == 3


def lanes() -> int:
    return sum(thread.name.startswith("lane-") for thread in threading.enumerate())


def test_nothing_is_compiled_before_somebody_asks_and_then_once() -> None:
    with Classifier(read_bundle(starter_path()), load_settings({}), engine=FakeEngine(1000)) as one:
        before = lanes()
        one.classify(PICTURE)
        assert lanes() == before
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(one.explain, [PICTURE] * 8))
        assert lanes() == before + 1
        assert all((answer.maps[0].cells == answers[0].maps[0].cells).all() for answer in answers)
    assert lanes() == before - 1
    with pytest.raises(NotReady):
        one.explain(PICTURE)


def test_a_passed_deadline_is_said(classifier: Classifier) -> None:
    with pytest.raises(DeadlineExceeded):
        classifier.submit_explain(PICTURE, deadline=0).result()


def test_a_bundle_without_maps_says_so(tmp_path: Path) -> None:
    bundle = read_bundle(starter_path())
    without: Bundle = replace(
        bundle, manifest=bundle.manifest.model_copy(update={"activation_map": None})
    )
    settings = load_settings({"home": str(tmp_path)})
    with (
        Classifier(without, settings, engine=FakeEngine(1000)) as one,
        pytest.raises(NotExplainable, match="has no class activation maps"),
    ):
        one.explain(PICTURE)


# Looked at by eye: the rows and columns of the seven by seven cells that the object covers.
OBJECTS = {
    "0003": (slice(1, 5), slice(0, 7)),  # tiger shark, across the whole width
    "0139": (slice(2, 5), slice(2, 5)),  # ruddy turnstone on its rock
    "0196": (slice(3, 7), slice(0, 5)),  # miniature schnauzer, lower left
    "0214": (slice(0, 4), slice(0, 4)),  # Gordon setter: its head
    "0244": (slice(0, 7), slice(1, 5)),  # Tibetan mastiff
    "0275": (slice(0, 4), slice(5, 7)),  # African hunting dog: its head at the right edge
    "0298": (slice(0, 7), slice(2, 6)),  # mongoose
    "0601": (slice(3, 7), slice(1, 6)),  # hoopskirt: below the waist
    "0812": (slice(3, 6), slice(0, 6)),  # space shuttle
    "0845": (slice(3, 7), slice(1, 5)),  # syringe in the lower half
}


@pytest.mark.parametrize("start", OBJECTS)
def test_the_hottest_cell_lies_on_the_object(classifier: Classifier, start: str) -> None:
    if not SAMPLES.is_dir():
        pytest.skip("needs the photographs in ../shared/data")
    [path] = SAMPLES.glob(f"{start}_*")
    [one] = classifier.explain(path, classes=[int(start)]).maps
    hottest = np.unravel_index(one.cells.argmax(), one.cells.shape)
    rows, columns = OBJECTS[start]
    assert rows.start <= hottest[0] < rows.stop
    assert columns.start <= hottest[1] < columns.stop
