"""Engines in processes of their own, in turns: OpenVINO's, on the starter's graph."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from millisight.bundle import starter_path
from millisight.compare.engines import REFERENCE, engine_names, find_engine
from millisight.compare.pictures import agreement, read_folder
from millisight.compare.processor import has_bf16, has_vnni
from millisight.compare.protocol import Place
from millisight.compare.rounds import Effort, Hall, measure, processes_against_one
from millisight.compare.station import Station, Turn
from millisight.cpu import find_cores
from millisight.errors import DataError, EngineUnavailable, ProcessDied
from tests.support import PREPROCESS, encode, texture

EFFORT = Effort(rounds=2, seconds=0.01, batches=(1, 2))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pictures") / "pictures.npy"
    random = np.random.default_rng(3)
    np.save(file, random.integers(0, 256, (5, 224, 224, 3), np.uint8))
    return file


class Steps:
    """Steps that nobody sees, and how far each bar has come."""

    def __init__(self) -> None:
        self.done: dict[str, float] = {}
        self._now = ""

    @contextmanager
    def __call__(self, title: str, *, total: float = 0) -> Iterator["Steps"]:
        self._now = title
        self.done[title] = 0
        yield self
        assert self.done[title] == total

    def advance(self, amount: float) -> None:
        self.done[self._now] += amount


def hall(pictures: Path, *names: str) -> Hall:
    return Hall({name: starter_path() for name in names}, pictures, find_cores(), "CPU")


def test_the_reference_comes_first_and_every_engine_says_what_it_is() -> None:
    names = engine_names()
    assert names[0] == REFERENCE
    assert len(names) == 13
    for name in names:
        engine = find_engine(name)
        assert engine.title
        assert engine.precision


def test_a_station_answers_all_pictures_and_times_its_turns(pictures: Path) -> None:
    station = hall(pictures, "openvino_int8").station("openvino_int8", 1)
    try:
        loaded = station.loaded()
        assert loaded.seconds > 0
        assert loaded.memory_mb > 10
        assert station.answers().shape == (5, 1000)
        assert len(station.take(Turn(2, 0.0))) == 1
        assert len(station.take(Turn(1, 0.5))) > 1
    finally:
        station.close()


def test_engines_take_turns_and_one_that_fails_leaves_the_others_alone(
    pictures: Path, tmp_path: Path
) -> None:
    place = hall(pictures, "openvino_int8", "openvino_float32")
    broken = Hall({**place.folders, "openvino_bf16": tmp_path}, pictures, place.cores, "CPU")
    steps = Steps()
    found = measure(broken, (1,), EFFORT, steps)
    assert set(found.failed) == {"openvino_bf16"}
    assert found.failed["openvino_bf16"]
    order = [(one.round, one.batch, one.engine) for one in found.samples]
    assert order[:4] == [
        (0, 1, "openvino_int8"), (0, 1, "openvino_float32"),
        (0, 2, "openvino_int8"), (0, 2, "openvino_float32"),
    ]  # fmt: skip
    assert order[4] == (1, 1, "openvino_float32")
    assert len(order) == 8
    both = found.answers["openvino_int8"], found.answers["openvino_float32"]
    assert agreement(*both) == 100
    assert steps.done == {
        "Loading openvino_int8 on 1 core": 0, "Loading openvino_float32 on 1 core": 0,
        "Loading openvino_bf16 on 1 core": 0, "Asking each for all pictures": 2,
        "Measuring on 1 core": EFFORT.rounds,
    }  # fmt: skip


def test_a_station_that_is_killed_is_reported_as_dead(pictures: Path) -> None:
    cores = find_cores()
    station = Station("dies", starter_path(), pictures, Place(1, "CPU"), cores)
    with pytest.raises(EngineUnavailable, match="ModuleNotFoundError"):
        station.loaded()
    with pytest.raises(ProcessDied):
        station.answers()
    station.close()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_processes_are_held_against_one(pictures: Path) -> None:
    found = processes_against_one(hall(pictures, "openvino_int8"), "openvino_int8", EFFORT)
    assert found is not None
    assert found.low <= found.median <= found.high


def test_pictures_have_classes_where_their_names_say_so(tmp_path: Path) -> None:
    for number in range(3):
        data = encode(texture(300, 260, number), "PNG")
        (tmp_path / f"{number}_photo.png").write_bytes(data)
    (tmp_path / "2_broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    found = read_folder(tmp_path, ["a", "b", "c"], PREPROCESS)
    assert found.pixels.shape == (3, 224, 224, 3)
    assert sorted(found.truth or ()) == [0, 1, 2]
    (tmp_path / "another.png").write_bytes((tmp_path / "0_photo.png").read_bytes())
    unlabelled = read_folder(tmp_path, ["a", "b", "c"], PREPROCESS)
    assert unlabelled.truth is None
    assert unlabelled.accuracy(np.zeros((4, 3), np.float32)) is None
    assert "4 pictures" in unlabelled.source
    assert "without labels" in unlabelled.source


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures that can be read"):
        read_folder(tmp_path, ["a"], PREPROCESS)


@pytest.mark.parametrize(
    ("flags", "vnni", "bf16"),
    [
        ("flags\t\t: fpu avx2", False, False),
        ("flags\t\t: fpu avx512_vnni avx512_bf16", True, True),
        ("Features\t: fp asimddp bf16", True, True),
        ("processor\t: 0", False, False),
    ],
)
def test_what_the_cpu_can_do_is_read_from_the_system(
    tmp_path: Path, flags: str, vnni: bool, bf16: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{flags}\n")
    assert (has_vnni(tmp_path / "cpuinfo"), has_bf16(tmp_path / "cpuinfo")) == (vnni, bf16)
    assert not has_vnni(tmp_path / "none")
