"""The Python API, with the starter bundle answering for real."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import millisight
from millisight import Classifier, Result
from millisight.engine import OpenVINOEngine
from millisight.errors import (
    BadImage,
    BadParameter,
    ModelNotFound,
    NotReady,
    SettingsError,
    UnsupportedFormat,
)
from millisight.evaluation import accuracy
from millisight.pictures import labelled_pictures
from tests.support import encode, texture


@pytest.fixture(scope="module")
def classifier() -> Iterator[Classifier]:
    with millisight.load("starter") as one:
        yield one


def test_every_kind_of_picture_gives_the_same_answer(
    classifier: Classifier, tmp_path: Path
) -> None:
    picture = texture(400, 300)
    path = tmp_path / "picture.png"
    path.write_bytes(encode(picture, "PNG"))
    kinds = [path, str(path), path.read_bytes(), picture, np.asarray(picture)]
    answers = [classifier.classify(kind, top_k=5).predictions for kind in kinds]
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]) == 5


def test_a_result_says_what_where_from_and_how_long(classifier: Classifier) -> None:
    result = classifier.classify(texture(300, 300))
    assert result.model == "efficientnet_lite0"
    assert len(result.predictions) == 3
    assert result.predictions[0].label == classifier.bundle.labels[result.predictions[0].index]
    timings = result.timings_ms
    assert result.inference_time_ms == timings.inference > 0
    assert timings.total >= timings.decode + timings.inference
    assert result.warnings == ()


def test_a_pillow_image_is_left_as_it_was(classifier: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    texture(2000, 1600).save(path)
    with Image.open(path) as image:
        classifier.classify(image)
        assert image.size == (2000, 1600)
        assert np.asarray(image).shape == (1600, 2000, 3)


def test_many_come_back_in_order_and_are_read_only_a_little_ahead(classifier: Classifier) -> None:
    read = 0

    def pictures() -> Iterator[np.ndarray]:
        nonlocal read
        for number in range(200):
            read += 1
            yield np.asarray(texture(240, 240, seed=number % 7))

    singly = [classifier.classify(texture(240, 240, seed=n)).predictions for n in range(7)]
    answers = classifier.classify_many(pictures())
    first = next(answers)
    assert read < 60
    rest = [answer.predictions for answer in answers]
    assert read == 200
    for number, predictions in enumerate([first.predictions, *rest]):
        assert [one.index for one in predictions] == [one.index for one in singly[number % 7]]


def test_many_are_never_refused_by_a_short_queue() -> None:
    with millisight.load("starter", max_queue=1, max_batch=2) as one:
        assert len(list(one.classify_many([texture(240, 240)] * 30))) == 30


def test_a_bad_picture_among_many_raises_or_stands_in_its_place(classifier: Classifier) -> None:
    pictures = [texture(50, 50), b"garbage", texture(60, 60)]
    with pytest.raises(UnsupportedFormat):
        list(classifier.classify_many(pictures))
    kinds = [type(one) for one in classifier.classify_many(pictures, return_errors=True)]
    assert kinds == [Result, UnsupportedFormat, Result]


def test_concurrent_callers_get_their_own_answers(classifier: Classifier) -> None:
    pictures = [texture(240, 240, seed=number) for number in range(32)]
    serial = [classifier.classify(picture).predictions for picture in pictures]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda one: classifier.classify(one).predictions, pictures))
    for alone, shared in zip(serial, together, strict=True):
        assert [one.index for one in alone] == [one.index for one in shared]
        assert [one.confidence for one in shared] == pytest.approx(
            [one.confidence for one in alone], abs=1e-4
        )


def test_what_is_not_a_picture_is_refused(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="A int is not a picture"):
        classifier.classify(7)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        classifier.classify(tmp_path / "none.jpg")
    with pytest.raises(BadParameter):
        classifier.classify(texture(50, 50), top_k=0)


def test_a_closed_classifier_answers_no_more() -> None:
    one = millisight.load("starter", max_batch=1)
    one.classify(texture(50, 50))
    one.close()
    assert not one.alive
    with pytest.raises(NotReady):
        one.classify(texture(50, 50))


def test_loading_refuses_what_is_not_there_or_not_a_setting() -> None:
    with pytest.raises(ModelNotFound):
        millisight.load("no such model")
    with pytest.raises(SettingsError, match="no setting thread "):
        millisight.load("starter", thread=2)


def test_preprocessing_changes_no_answer_against_the_reference(
    classifier: Classifier, samples: Path
) -> None:
    labelled = labelled_pictures(samples, classifier.bundle.labels)
    engine = OpenVINOEngine(classifier.bundle.graph, precision="int8", max_batch=1)
    expected = []
    for path, _ in labelled:
        with Image.open(path) as file:
            image = file.convert("RGB")
        longer = int(256 * max(image.size) / min(image.size))
        size = (256, longer) if image.width <= image.height else (longer, 256)
        resized = image.resize(size, Image.Resampling.BICUBIC)
        left, top = (round((side - 224) / 2) for side in size)
        pixels = np.asarray(resized.crop((left, top, left + 224, top + 224)))
        expected.append(int(engine.infer(pixels[None])[0].argmax()))
    answers = [
        [one.index for one in result.predictions]
        for result in classifier.classify_many((path for path, _ in labelled), 5)
    ]
    same = sum(answer[0] == right for answer, right in zip(answers, expected, strict=True))
    assert same >= 0.995 * len(labelled)
    assert accuracy(answers, [right for _, right in labelled]).top1 >= 86
