"""What ``/metrics`` says of a real server, with one worker and with several."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from millisight.server.metrics import BATCHES, REASONS, SECONDS
from tests.e2e.conftest import Server, running
from tests.e2e.test_workers import numbers_folder, until, workers
from tests.support import encode, solid, texture

PAGE = os.sysconf("SC_PAGE_SIZE")
NAMES = {
    "millisight_requests_total": {"route", "status"},
    "millisight_request_duration_seconds_bucket": {"route", "le"},
    "millisight_request_duration_seconds_count": {"route"},
    "millisight_request_duration_seconds_sum": {"route"},
    "millisight_rejections_total": {"reason"},
    "millisight_answers_total": {"model", "source"},
    "millisight_stage_duration_seconds_bucket": {"model", "stage", "le"},
    "millisight_stage_duration_seconds_count": {"model", "stage"},
    "millisight_stage_duration_seconds_sum": {"model", "stage"},
    "millisight_batch_pictures_bucket": {"model", "le"},
    "millisight_batch_pictures_count": {"model"},
    "millisight_batch_pictures_sum": {"model"},
    "millisight_picture_warnings_total": {"model", "kind"},
    "millisight_queue_pictures": {"model"},
    "millisight_resident_memory_bytes": set(),
    "millisight_model_info": {"model", "digest", "precision"},
}


def frames(count: int) -> bytes:
    pictures = [solid((40 * number, 90, 30)) for number in range(count)]
    return encode(pictures[0], "GIF", save_all=True, append_images=pictures[1:])


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(texture(60, 40), "JPEG", exif=exif)


GOOD = [encode(texture(300, 200, seed), "JPEG") for seed in range(6)]
ODD = [turned(), frames(2), frames(3), encode(solid((9, 9), "LA"), "PNG")]
SENT = [*GOOD, *ODD]


@dataclass
class Driven:
    """A server that was sent pictures, what it answered, and what it counted."""

    server: Server
    answers: list[dict[str, Any]] = field(default_factory=list)

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples that have ``labels``."""
        return sum(
            value
            for sample, own, value in samples(self.server)
            if sample == name and labels.items() <= own.items()
        )


def samples(server: Server) -> list[tuple[str, dict[str, str], float]]:
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


@pytest.fixture(scope="module", params=["1", "2"], ids=["one worker", "two workers"])
def driven(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driven]:
    home = tmp_path_factory.mktemp("home")
    with running(home, "--workers", request.param, "--max-upload-mb", "1") as server:
        one = Driven(server)
        # Each on a connection of its own, so that several workers are asked.
        for picture in SENT * 3:
            answer = httpx.post(f"{server.url}/predict", content=picture, timeout=30)
            one.answers.append(answer.raise_for_status().json())
        for body in (b"no picture", GOOD[0][:400], b"\xff\xd8\xff" * 400_000, b""):
            httpx.post(f"{server.url}/predict", content=body, timeout=30)
        httpx.post(f"{server.url}/predict?top_k=0", content=GOOD[0], timeout=30)
        httpx.get(f"{server.url}/nothing")
        yield one


def test_every_number_is_there_with_its_labels(driven: Driven) -> None:
    assert {name: set(labels) for name, labels, _ in samples(driven.server)} == NAMES


def test_the_stages_add_up_to_what_the_answers_say(driven: Driven) -> None:
    computed = [one["timings_ms"] for one in driven.answers if not one["cached"]]
    name = "millisight_stage_duration_seconds"
    for stage in ("decode", "queue", "inference", "total"):
        # Two pictures could not be decoded; they went no further.
        failed = 2 if stage == "decode" else 0
        assert driven.total(f"{name}_count", stage=stage) == len(computed) + failed
        seconds = sum(one[stage] for one in computed) / 1e3
        counted = driven.total(f"{name}_sum", stage=stage)
        assert counted == pytest.approx(seconds, abs=1e-4 if not failed else 0.5)


def test_buckets_hold_what_lies_below_their_bounds(driven: Driven) -> None:
    computed = [one["timings_ms"] for one in driven.answers if not one["cached"]]
    for bound in SECONDS:
        within = driven.total(
            "millisight_stage_duration_seconds_bucket", stage="inference", le=str(bound)
        )
        # Answers are rounded to a microsecond.
        least = sum(one["inference"] / 1e3 < bound - 1e-6 for one in computed)
        most = sum(one["inference"] / 1e3 < bound + 1e-6 for one in computed)
        assert least <= within <= most


def test_requests_are_timed_unless_they_are_refused(driven: Driven) -> None:
    name = "millisight_request_duration_seconds"
    assert driven.total(f"{name}_count", route="/predict") == len(driven.answers)
    assert driven.total("millisight_requests_total", route="/predict") == len(driven.answers) + 5
    assert driven.total("millisight_requests_total", status="404") == 1
    inside = sum(one["timings_ms"]["total"] for one in driven.answers) / 1e3
    assert inside < driven.total(f"{name}_sum", route="/predict") < inside + 5


def test_pictures_are_counted_by_where_their_answer_came_from(driven: Driven) -> None:
    computed = sum(not one["cached"] for one in driven.answers)
    assert computed >= len(SENT)
    for source, count in (
        ("computed", computed),
        ("remembered", len(driven.answers) - computed),
        ("shared", 0),
    ):
        assert driven.total("millisight_answers_total", source=source) == count


def test_batches_add_up_to_the_pictures(driven: Driven) -> None:
    computed = sum(not one["cached"] for one in driven.answers)
    name = "millisight_batch_pictures"
    assert driven.total(f"{name}_sum") == driven.total(f"{name}_count") == computed
    assert driven.total(f"{name}_bucket", le=str(float(BATCHES[0]))) == computed


def test_refusals_are_counted_by_their_reason(driven: Driven) -> None:
    reasons = {
        labels["reason"]: value
        for name, labels, value in samples(driven.server)
        if name == "millisight_rejections_total"
    }
    expected = {
        "unsupported_format": 1,
        "bad_image": 1,
        "upload_too_large": 1,
        "bad_request": 1,
        "bad_parameter": 1,
    }
    assert reasons == dict.fromkeys(REASONS, 0) | expected


def test_warnings_are_counted_by_their_kind_where_they_arise(driven: Driven) -> None:
    odd = [one for one in driven.answers if one["warnings"] and not one["cached"]]
    kinds = {"exif_rotated", "alpha_on_white", "first_of_n_frames"}
    name = "millisight_picture_warnings_total"
    assert {labels["kind"] for sample, labels, _ in samples(driven.server) if sample == name} == (
        kinds
    )
    assert driven.total(name) == sum(len(one["warnings"]) for one in odd)
    several = sum(one["warnings"][0].startswith("first_of_") for one in odd)
    assert driven.total(name, kind="first_of_n_frames") == several >= 2


def test_it_says_which_model_answers(driven: Driven) -> None:
    [model] = httpx.get(f"{driven.server.url}/models").json()["models"]
    [(labels, value)] = [
        (labels, value)
        for name, labels, value in samples(driven.server)
        if name == "millisight_model_info"
    ]
    own = {"model": "starter", "digest": model["digest"], "precision": "int8"}
    assert (labels, value) == (own, 1)


def resident(pids: list[int]) -> float:
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * PAGE


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_is_that_of_all_who_answer_and_of_nobody_who_has_died(driven: Driven) -> None:
    name = "millisight_resident_memory_bytes"
    those = workers(driven.server) or [driven.server.process.pid]
    assert driven.total(name) == pytest.approx(resident(those), rel=0.1)
    if len(those) == 1:
        return
    counted = driven.total("millisight_requests_total", route="/predict")
    os.kill(those[0], signal.SIGKILL)
    until(lambda: len(set(workers(driven.server)) - set(those)) == 1, "a new worker")
    httpx.get(f"{driven.server.url}/health/ready", timeout=30)

    def fits() -> bool:
        return driven.total(name) == pytest.approx(resident(workers(driven.server)), rel=0.1)

    until(fits, "the memory of the two that live", seconds=10)
    assert driven.total("millisight_requests_total", route="/predict") == counted
    assert driven.total("millisight_model_info") == 1


def counted(server: Server) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All that is added up, but for what asking for it adds."""
    return {
        (name, frozenset(labels.items())): value
        for name, labels, value in samples(server)
        if name.endswith(("_total", "_bucket", "_count", "_sum"))
        and labels.get("route", "/predict") == "/predict"
    }


def kill(server: Server, pid: int) -> None:
    """Returns once another worker is there."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(workers(server)) - {pid}) == 2, "a new worker")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_the_numbers_of_the_dead_lie_in_one_file_and_never_change(driven: Driven) -> None:
    server = driven.server
    if not workers(server):
        pytest.skip("one worker is the server itself")
    before = counted(server)

    def files_fit() -> bool:
        try:
            assert counted(server) == before
        except httpx.TransportError:
            # Whoever the dead one's socket had let in waits for the next.
            return False
        files = {path.stem for path in numbers_folder(server).glob("[ch]*_*.db")}
        living = workers(server)
        return files == {
            f"{kind}_{one}" for kind in ("counter", "histogram") for one in ("departed", *living)
        }

    for pid in workers(server):
        kill(server, pid)
        until(files_fit, "files of the living, and one of all the dead", seconds=120)
