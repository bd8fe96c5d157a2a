"""Self-made load, on the real starter model and on engines that count."""

import multiprocessing
import os

import pytest

from millisight.bundle import Bundle, read_bundle, starter_path
from millisight.classifier import Classifier
from millisight.cpu import Cores, find_cores
from millisight.engine import FakeEngine
from millisight.errors import BundleError, ProcessDied
from millisight.settings import Settings, load_settings
from millisight.trial import Trial, ask, measure, usual_arrangement
from millisight.tuning import Arrangement, Load, Split, candidates
from tests.models import without_network
from tests.support import encode, texture

PHOTOGRAPHS = [encode(texture(64, 48, seed), "JPEG") for seed in range(3)]
ONE_CORE = Cores(find_cores().mask[:1], find_cores().of, None)
ONE, TWO = Split(1, 1), Split(2, 1)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(starter_path())


@pytest.fixture
def settings() -> Settings:
    return load_settings(environ={})


def trial(bundle: Bundle, settings: Settings, *splits: Split) -> Trial:
    return Trial(bundle, settings, ONE_CORE, PHOTOGRAPHS, splits, 2)


@pytest.mark.parametrize("clients", [1, 5])
def test_every_client_is_answered_once_more_than_is_counted(
    bundle: Bundle, settings: Settings, clients: int
) -> None:
    engine = FakeEngine(bundle.manifest.class_count)
    with Classifier(bundle, settings, engine=engine) as classifier:
        waits = ask(classifier, PHOTOGRAPHS, clients, 0)
        assert len(waits) == clients
        assert sum(engine.batch_sizes) == 2 * clients
        longer = ask(classifier, PHOTOGRAPHS, clients, 0.05)
    assert len(longer) >= clients
    assert all(wait > 0 for wait in waits + longer)


def test_one_network_serves_every_cap_and_every_number_of_clients(
    bundle: Bundle, settings: Settings
) -> None:
    # More clients than may wait are not refused.
    narrow = settings.model_copy(update={"max_queue": 1})
    wanted = [Load(Arrangement(ONE, cap), clients) for cap in (1, 2) for clients in (1, 4)]
    with trial(bundle, narrow, ONE) as one:
        samples = one.run(wanted, seconds=0)
    assert [sample.load for sample in samples] == wanted
    assert all(len(sample.waits_ms[0]) >= sample.load.clients for sample in samples)
    assert all(sample.images_per_second() > 0 for sample in samples)


def test_splits_take_turns_and_each_worker_has_its_clients(
    bundle: Bundle, settings: Settings
) -> None:
    wanted = [Load(Arrangement(split, 1), clients) for split in (ONE, TWO) for clients in (1, 3)]
    with trial(bundle, settings, ONE, TWO) as one:
        samples = one.run(wanted, seconds=0.4, rounds=2)
        one.keep({TWO})
        assert len(multiprocessing.active_children()) == 2
        assert len(one.run(wanted[2:], seconds=0)) == 2
    assert [sample.load for sample in samples] == wanted * 2
    waits = [sample.waits_ms for sample in samples]
    assert [len(one) for one in waits] == [1, 1, 2, 2] * 2
    assert [bool(one) for one in waits[2]] == [True, False]
    assert all(waits[3])


def test_workers_keep_to_their_shares_and_end_with_the_trial(
    bundle: Bundle, settings: Settings
) -> None:
    cores = find_cores()
    with Trial(bundle, settings, cores, PHOTOGRAPHS, [TWO], 1):
        children = multiprocessing.active_children()
        masks = [os.sched_getaffinity(child.pid or 0) for child in children]
    shares = [set(cores.share(number, 2).mask) for number in range(2)]
    assert sorted(masks, key=sorted) == sorted(shares, key=sorted)
    assert multiprocessing.active_children() == []


def test_a_worker_that_dies_is_told_of(bundle: Bundle, settings: Settings) -> None:
    with trial(bundle, settings, ONE) as one:
        [child] = multiprocessing.active_children()
        child.kill()
        with pytest.raises(ProcessDied, match=r"has died \(status -9\)"):
            one.run([Load(Arrangement(ONE, 1), 1)], seconds=0)
    assert multiprocessing.active_children() == []


def test_a_network_that_cannot_be_loaded_is_told_of(bundle: Bundle, settings: Settings) -> None:
    broken = without_network(bundle)
    with pytest.raises(BundleError, match="OpenVINO cannot load"), trial(broken, settings, ONE):
        pass
    assert multiprocessing.active_children() == []


def test_everything_is_looked_at_once_and_the_finalists_twice(
    bundle: Bundle, settings: Settings
) -> None:
    said: list[str] = []
    findings = measure(
        bundle, settings, ONE_CORE, PHOTOGRAPHS, limit_ms=None, seconds=0, say=said.append
    )
    usual = usual_arrangement(ONE_CORE)
    assert findings.usual == usual == Arrangement(ONE, settings.max_batch)
    tried = candidates(1, usual)
    assert sorted(one.load for one in findings.first) == [Load(one, 8) for one in tried]
    finalists = {one.load.arrangement for one in findings.last}
    assert usual in finalists <= set(tried)
    assert {one.load.clients for one in findings.last} == {1, 4, 8}
    assert [line.split()[1] for line in said] == ["the", "first", "longer"]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("count", "split"),
    [(1, Split(1, 1)), (2, Split(1, 2)), (8, Split(2, 4)), (9, Split(2, 0)), (64, Split(16, 4))],
)
def test_the_usual_arrangement_is_what_serve_takes(count: int, split: Split) -> None:
    assert usual_arrangement(Cores(tuple(range(count)), count, None)).split == split
