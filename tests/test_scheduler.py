"""The laws of the scheduler, with times in whole milliseconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millisight.errors import Overloaded
from millisight.scheduler import Scheduler, Turn

NEVER = 10**9

steps = st.lists(
    st.tuples(st.integers(0, 20), st.one_of(st.none(), st.integers(1, 60))), max_size=60
)
"""Time that passes, then either a turn of the engine (None) or an item with that much time."""


@given(steps, st.integers(1, 5), st.integers(1, 8), st.sampled_from([0, 0, 7]))
def test_each_admitted_item_leaves_once_in_order_and_within_the_caps(
    script: list[tuple[int, int | None]], max_batch: int, max_queue: int, window: int
) -> None:
    scheduler: Scheduler[int] = Scheduler(max_batch=max_batch, max_queue=max_queue, max_wait=window)
    now = 0
    deadlines: list[int] = []
    admitted: list[int] = []
    ran: list[int] = []
    expired: list[int] = []

    def take(turn: Turn[int]) -> None:
        assert len(turn.run) <= max_batch
        assert all(deadlines[item] > now for item in turn.run)
        assert all(deadlines[item] <= now for item in turn.expired)
        ran.extend(turn.run)
        expired.extend(turn.expired)

    for pause, allowed in script:
        now += pause
        if allowed is None:
            take(scheduler.next_turn(now))
            continue
        deadlines.append(now + allowed)
        item = len(deadlines) - 1
        if len(scheduler) < max_queue:
            scheduler.admit(item, now=now, deadline=now + allowed)
            admitted.append(item)
        else:
            with pytest.raises(Overloaded):
                scheduler.admit(item, now=now, deadline=now + allowed)
        assert len(scheduler) <= max_queue
    now += 1000
    while len(scheduler):
        take(scheduler.next_turn(now))
    assert ran == sorted(ran)
    assert sorted(ran + expired) == admitted


@given(st.integers(1, 20), st.integers(1, 8))
def test_nothing_waits_while_the_engine_is_free_by_default(items: int, max_batch: int) -> None:
    scheduler: Scheduler[int] = Scheduler(max_batch=max_batch, max_queue=100)
    for item in range(items):
        scheduler.admit(item, now=0, deadline=NEVER)
    turn = scheduler.next_turn(0)
    assert turn.run == list(range(min(items, max_batch)))
    assert turn.wake_at is None


def test_a_window_starts_when_the_oldest_item_arrived() -> None:
    scheduler: Scheduler[str] = Scheduler(max_batch=4, max_queue=9, max_wait=10)
    scheduler.admit("first", now=100, deadline=NEVER)
    assert scheduler.next_turn(107) == Turn(wake_at=110)
    scheduler.admit("second", now=108, deadline=NEVER)
    assert scheduler.next_turn(109) == Turn(wake_at=110)
    assert scheduler.next_turn(110).run == ["first", "second"]


def test_a_full_batch_does_not_wait_for_its_window() -> None:
    scheduler: Scheduler[int] = Scheduler(max_batch=2, max_queue=9, max_wait=1000)
    scheduler.admit(1, now=0, deadline=NEVER)
    scheduler.admit(2, now=0, deadline=NEVER)
    assert scheduler.next_turn(0).run == [1, 2]


def test_a_refused_item_changes_nothing() -> None:
    scheduler: Scheduler[str] = Scheduler(max_batch=8, max_queue=1)
    scheduler.admit("in", now=0, deadline=NEVER)
    with pytest.raises(Overloaded, match="1 pictures are waiting"):
        scheduler.admit("out", now=0, deadline=NEVER)
    assert scheduler.next_turn(0).run == ["in"]
    scheduler.admit("again", now=1, deadline=NEVER)
    assert scheduler.next_turn(1).run == ["again"]


def test_an_item_whose_deadline_has_come_is_not_run() -> None:
    scheduler: Scheduler[str] = Scheduler(max_batch=8, max_queue=8)
    scheduler.admit("late", now=0, deadline=5)
    scheduler.admit("fine", now=0, deadline=6)
    turn = scheduler.next_turn(5)
    assert (turn.run, turn.expired) == (["fine"], ["late"])
    assert len(scheduler) == 0


def test_one_at_a_time_is_possible() -> None:
    scheduler: Scheduler[int] = Scheduler(max_batch=1, max_queue=8)
    for item in range(3):
        scheduler.admit(item, now=0, deadline=NEVER)
    assert [scheduler.next_turn(0).run for _ in range(4)] == [[0], [1], [2], []]
