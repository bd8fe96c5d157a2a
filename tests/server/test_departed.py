"""The files of workers that are gone, while somebody reads them, and if they are not whole."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from millisight.server.departed import Departed, reading


def count(folder: Path, pid: int, kind: str = "counter", **labels: float) -> None:
    """What a worker counts, by the one label that there is."""
    numbers = MmapedDict(str(folder / f"{kind}_{pid}.db"))  # type: ignore[no-untyped-call]
    for label, value in labels.items():
        key = mmap_key("pictures", "pictures_total", ["kind"], [label], "Pictures.")
        numbers.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    numbers.close()  # type: ignore[no-untyped-call]


def counted(folder: Path) -> dict[str, float]:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    return {
        sample.labels["kind"]: sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def read(file: Path) -> list[float]:
    return [value for _, value, _, _ in MmapedDict.read_all_values_from_file(file)]  # type: ignore[no-untyped-call]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.db")}


def test_totals_of_the_dead_are_added_up_in_one_file(tmp_path: Path) -> None:
    departed = Departed(tmp_path)
    count(tmp_path, 1, good=3, bad=1)
    for pid in range(2, 6):
        count(tmp_path, pid, good=2, **{f"kind_{pid}": 1})
        count(tmp_path, pid, "histogram", seconds=1)
        departed.add(pid)
        # Who ends a worker, and who finds it dead, may both say so.
        departed.add(pid)
        departed.fold()
        assert names(tmp_path) == {
            "counter_1.db",
            "counter_departed.db",
            "histogram_departed.db",
        }
    [seconds] = read(tmp_path / "histogram_departed.db")
    assert seconds == 4
    (tmp_path / "histogram_departed.db").unlink()
    kinds = dict.fromkeys((f"kind_{pid}" for pid in range(2, 6)), 1)
    assert counted(tmp_path) == {"good": 11, "bad": 1, **kinds}


def test_nothing_is_moved_while_somebody_reads_and_everything_later(tmp_path: Path) -> None:
    departed = Departed(tmp_path)
    count(tmp_path, 1, good=3)
    departed.add(1)
    with reading(tmp_path):
        # Readers do not wait for each other.
        with reading(tmp_path):
            departed.fold()
        assert names(tmp_path) == {"counter_1.db"}
    departed.fold()
    assert names(tmp_path) == {"counter_departed.db"}
    departed.fold()
    assert counted(tmp_path) == {"good": 3}


def test_a_worker_that_died_before_it_counted_leaves_nothing(tmp_path: Path) -> None:
    departed = Departed(tmp_path)
    (tmp_path / "counter_1.db").touch()
    departed.add(1)
    departed.add(2)
    departed.fold()
    assert names(tmp_path) == set()


def test_a_worker_with_the_number_of_one_that_is_gone_goes_on_in_its_file(tmp_path: Path) -> None:
    departed = Departed(tmp_path)
    count(tmp_path, 1, good=3)
    departed.add(1)
    departed.came(1)
    departed.fold()
    assert names(tmp_path) == {"counter_1.db"}


def test_a_damaged_file_is_told_of_and_keeps_nobody_from_answering(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    departed = Departed(tmp_path)
    count(tmp_path, 1, good=3)
    (tmp_path / "counter_2.db").write_bytes((1 << 16).to_bytes(4, "little") + b"\xff" * 60)
    for pid in (1, 2):
        departed.add(pid)
    departed.fold()
    assert "could not be added up" in caplog.text
    departed.fold()
    assert counted(tmp_path) == {"good": 3}
