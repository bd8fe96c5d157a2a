"""The laws of the scheduler, with times in whole milliseconds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millisight.errors import Overloaded
from millisight.scheduler import Scheduler, Turn

NEVER = 10**9
ONLY = "only"
"""The kind of all items where there is but one."""


def of_one_kind(**caps: int) -> Scheduler[Any]:
    scheduler: Scheduler[Any] = Scheduler(**caps)
    scheduler.add(ONLY)
    return scheduler


steps = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.one_of(st.sampled_from(["turn", "finish"]), st.integers(1, 60)),
    ),
    max_size=80,
)
"""Time that passes, then a turn, the end of the oldest batch, or an item with that much time."""


class Machine:
    """Runs what a scheduler hands out and holds it to its laws."""

    def __init__(self, scheduler: Scheduler[int]) -> None:
        self.scheduler = scheduler
        self.now = 0
        self.deadlines: list[int] = []
        self.admitted: list[int] = []
        self.ran: list[int] = []
        self.expired: list[int] = []
        self.running: list[Turn[int]] = []

    def offer(self, allowed: int) -> None:
        item = len(self.deadlines)
        self.deadlines.append(self.now + allowed)
        waiting = len(self.scheduler)
        try:
            self.scheduler.admit(item, ONLY, now=self.now, deadline=self.now + allowed)
        except Overloaded as refusal:
            full = waiting == self.scheduler.max_queue
            assert full or self.scheduler.expected_wait(ONLY) > 0
            # Full already before it has learnt how long anything takes.
            assert refusal.retry_after > 0 or (full and not self.scheduler.expected_wait(ONLY))
            assert len(self.scheduler) == waiting
        else:
            assert waiting < self.scheduler.max_queue
            self.admitted.append(item)
        assert len(self.scheduler) <= self.scheduler.max_queue

    def turn(self) -> None:
        waited = len(self.scheduler)
        turn = self.scheduler.next_turn(self.now)
        assert len(turn.run) <= self.scheduler.max_batch
        assert all(self.deadlines[item] > self.now for item in turn.run)
        assert all(self.deadlines[item] <= self.now for item in turn.expired)
        self.ran.extend(turn.run)
        self.expired.extend(turn.expired)
        if turn.run:
            self.running.append(turn)
        assert len(self.running) <= self.scheduler.lanes
        assert self.scheduler.alone == (len(self.running) == 1 and not len(self.scheduler))
        free = len(self.running) < self.scheduler.lanes
        if not self.scheduler.max_wait and waited and free:
            assert turn.run or turn.expired

    def finish(self) -> None:
        if self.running:
            turn = self.running.pop(0)
            self.scheduler.finished(ONLY, len(turn.run), 3 * len(turn.run))


@given(steps, st.integers(1, 5), st.integers(1, 8), st.sampled_from([0, 0, 7]), st.integers(1, 3))
def test_each_admitted_item_leaves_once_in_order_and_within_the_caps(
    script: list[tuple[int, str | int]], max_batch: int, max_queue: int, window: int, lanes: int
) -> None:
    machine = Machine(
        of_one_kind(max_batch=max_batch, max_queue=max_queue, max_wait=window, lanes=lanes)
    )
    for pause, step in script:
        machine.now += pause
        if isinstance(step, int):
            machine.offer(step)
        elif step == "turn":
            machine.turn()
        else:
            machine.finish()
    machine.now += 1000
    while len(machine.scheduler):
        machine.turn()
        machine.finish()
    assert machine.ran == sorted(machine.ran)
    assert sorted(machine.ran + machine.expired) == machine.admitted


def test_only_what_runs_while_nothing_else_runs_or_waits_is_alone() -> None:
    scheduler: Scheduler[int] = of_one_kind(max_batch=1, max_queue=9, lanes=2)
    assert not scheduler.alone
    scheduler.admit(0, ONLY, now=0, deadline=NEVER)
    assert scheduler.next_turn(0) == Turn(run=[0])
    assert scheduler.alone
    scheduler.admit(1, ONLY, now=1, deadline=NEVER)
    assert not scheduler.alone
    assert scheduler.next_turn(1) == Turn(run=[1])
    assert not scheduler.alone
    scheduler.finished(ONLY, 1, 1)
    assert scheduler.alone


def test_what_waits_is_shared_out_among_the_free_lanes() -> None:
    scheduler: Scheduler[int] = of_one_kind(max_batch=4, max_queue=9, lanes=2)
    for item in range(3):
        scheduler.admit(item, ONLY, now=0, deadline=NEVER)
    assert scheduler.next_turn(0) == Turn(run=[0, 1])
    assert scheduler.next_turn(0) == Turn(run=[2])
    scheduler.admit(3, ONLY, now=0, deadline=NEVER)
    assert scheduler.next_turn(0) == Turn()


@given(st.integers(1, 20), st.integers(1, 8))
def test_nothing_waits_while_the_engine_is_free_by_default(items: int, max_batch: int) -> None:
    scheduler: Scheduler[int] = of_one_kind(max_batch=max_batch, max_queue=100)
    for item in range(items):
        scheduler.admit(item, ONLY, now=0, deadline=NEVER)
    turn = scheduler.next_turn(0)
    assert turn.run == list(range(min(items, max_batch)))
    assert turn.wake_at is None


def test_a_window_starts_when_the_oldest_item_arrived() -> None:
    scheduler: Scheduler[str] = of_one_kind(max_batch=4, max_queue=9, max_wait=10)
    scheduler.admit("first", ONLY, now=100, deadline=NEVER)
    assert scheduler.next_turn(107) == Turn(wake_at=110)
    scheduler.admit("second", ONLY, now=108, deadline=NEVER)
    assert scheduler.next_turn(109) == Turn(wake_at=110)
    assert scheduler.next_turn(110).run == ["first", "second"]


def test_a_full_batch_does_not_wait_for_its_window() -> None:
    scheduler: Scheduler[int] = of_one_kind(max_batch=2, max_queue=9, max_wait=1000)
    scheduler.admit(1, ONLY, now=0, deadline=NEVER)
    scheduler.admit(2, ONLY, now=0, deadline=NEVER)
    assert scheduler.next_turn(0).run == [1, 2]


def test_a_refused_item_changes_nothing() -> None:
    scheduler: Scheduler[str] = of_one_kind(max_batch=8, max_queue=1)
    scheduler.admit("in", ONLY, now=0, deadline=NEVER)
    with pytest.raises(Overloaded, match="1 pictures are waiting") as refusal:
        scheduler.admit("out", ONLY, now=0, deadline=NEVER)
    assert refusal.value.retry_after == 0
    turn = scheduler.next_turn(0)
    assert turn.run == ["in"]
    scheduler.finished(ONLY, 1, 1)
    scheduler.admit("again", ONLY, now=1, deadline=NEVER)
    assert scheduler.next_turn(1).run == ["again"]


def test_an_item_whose_deadline_has_come_is_not_run() -> None:
    scheduler: Scheduler[str] = of_one_kind(max_batch=8, max_queue=8)
    scheduler.admit("late", ONLY, now=0, deadline=5)
    scheduler.admit("fine", ONLY, now=0, deadline=6)
    turn = scheduler.next_turn(5)
    assert (turn.run, turn.expired) == (["fine"], ["late"])
    assert len(scheduler) == 0


def test_what_is_dropped_makes_room_and_is_never_run() -> None:
    scheduler = of_kinds("a", "b", max_queue=3)
    admit(scheduler, "a1 a2 a3 b1 b2")
    assert scheduler.drop(lambda item: item in {"a2", "b1"}) == ["a2", "b1"]
    assert len(scheduler) == 3
    admit(scheduler, "a4")
    assert order(scheduler) == [["a1"], ["b2"], ["a3"], ["a4"]]
    assert scheduler.drop(lambda _: True) == []


def test_one_at_a_time_is_possible() -> None:
    scheduler: Scheduler[int] = of_one_kind(max_batch=1, max_queue=8)
    for item in range(3):
        scheduler.admit(item, ONLY, now=0, deadline=NEVER)
    for expected in ([0], [1], [2], []):
        turn = scheduler.next_turn(0)
        assert turn.run == expected
        if turn.run:
            scheduler.finished(ONLY, 1, 1)


def learnt(took: int, *, lanes: int = 1, max_queue: int = 100) -> Scheduler[int]:
    """One that knows how long an item takes, with all its lanes busy."""
    scheduler: Scheduler[int] = of_one_kind(max_batch=1, max_queue=max_queue, lanes=lanes)
    for item in range(-lanes, 0):
        scheduler.admit(item, ONLY, now=0, deadline=NEVER)
        scheduler.next_turn(0)
        scheduler.finished(ONLY, 1, took)
    for item in range(-lanes, 0):
        scheduler.admit(item, ONLY, now=0, deadline=NEVER)
        assert scheduler.next_turn(0).run
    return scheduler


def test_what_cannot_be_in_time_is_refused_at_once_and_told_when_to_come_again() -> None:
    scheduler = learnt(10)
    scheduler.admit(0, ONLY, now=0, deadline=24)
    with pytest.raises(Overloaded, match="in time") as refusal:
        scheduler.admit(1, ONLY, now=0, deadline=30)
    # Ten for what runs, ten for the one that waits, ten for itself; a little must be left over.
    assert refusal.value.retry_after == pytest.approx(30 - 0.85 * 30)
    scheduler.admit(2, ONLY, now=0, deadline=36)
    assert len(scheduler) == 2


def planned(scheduler: Scheduler[int], now: float = 0) -> int:
    """How many items are admitted at ``now`` that may take a thousand seconds."""
    for count in range(1000):
        try:
            scheduler.admit(count, ONLY, now=now, deadline=now + 1000)
        except Overloaded:
            return count
    raise AssertionError("none was refused")


def test_a_queue_that_does_not_empty_is_kept_short_and_a_burst_may_fill_an_empty_one() -> None:
    scheduler = learnt(10, max_queue=1000)
    burst = planned(scheduler)
    assert burst == 850 // 10 - 1  # One is under way.
    assert planned(scheduler, now=500) == 0
    waiting = burst
    for now in range(510, 1000, 10):
        scheduler.finished(ONLY, 1, 10)
        assert scheduler.next_turn(now).run
        waiting += planned(scheduler, now) - 1
        assert waiting == len(scheduler) >= 400 // 10 - 1
    assert waiting == 400 // 10 - 1
    assert len(scheduler.drop(lambda _: True)) == waiting
    assert planned(scheduler, now=1000) == burst


def test_a_full_queue_says_how_long_it_takes_to_empty() -> None:
    scheduler = learnt(10, lanes=2, max_queue=4)
    for item in range(4):
        scheduler.admit(item, ONLY, now=0, deadline=NEVER)
    with pytest.raises(Overloaded, match="4 pictures are waiting") as refusal:
        scheduler.admit(4, ONLY, now=0, deadline=NEVER)
    assert refusal.value.retry_after == 20


def test_nothing_is_refused_while_nothing_waits_however_long_items_took() -> None:
    scheduler = learnt(1000)
    scheduler.finished(ONLY, 1, 1000)
    assert scheduler.expected_wait(ONLY) == 0
    scheduler.admit(0, ONLY, now=0, deadline=1)
    assert scheduler.next_turn(0).run == [0]


def test_what_items_take_is_learnt_anew() -> None:
    scheduler = learnt(1000)
    before = scheduler.expected_wait(ONLY)
    scheduler.finished(ONLY, 1, 10)
    for item in range(100):
        scheduler.admit(item, ONLY, now=0, deadline=NEVER)
        scheduler.next_turn(0)
        scheduler.finished(ONLY, 1, 10)
    scheduler.admit(0, ONLY, now=0, deadline=NEVER)
    scheduler.next_turn(0)
    assert before == 1000
    assert 10 <= scheduler.expected_wait(ONLY) < 11


@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(10, 90)), max_size=60),
    st.integers(1, 12),
    st.integers(1, 3),
)
def test_what_is_admitted_is_in_time_if_items_go_on_taking_what_they_took(
    arrivals: list[tuple[int, int]], took: int, lanes: int
) -> None:
    scheduler = learnt(took, lanes=lanes)
    busy = [took] * lanes  # when each lane is free
    deadlines: dict[int, int] = {}
    now = 0

    def until(then: int) -> None:
        while min(busy) <= then and (len(scheduler) or scheduler.expected_wait(ONLY)):
            free = min(busy)
            if free == NEVER:
                return
            scheduler.finished(ONLY, 1, took)
            turn = scheduler.next_turn(free)
            assert not turn.expired
            busy.remove(free)
            busy.append(free + took if turn.run else NEVER)
            assert all(free + took <= deadlines[item] for item in turn.run)

    for item, (pause, allowed) in enumerate(arrivals):
        now += pause
        until(now)
        deadlines[item] = now + allowed
        try:
            scheduler.admit(item, ONLY, now=now, deadline=now + allowed)
        except Overloaded:
            continue
        if NEVER in busy and scheduler.next_turn(now).run:
            busy.remove(NEVER)
            busy.append(now + took)
    until(NEVER)


def of_kinds(*kinds: str, **caps: int) -> Scheduler[str]:
    """One that takes items of several kinds."""
    scheduler: Scheduler[str] = Scheduler(**({"max_batch": 1, "max_queue": 100} | caps))
    for kind in kinds:
        scheduler.add(kind)
    return scheduler


def admit(scheduler: Scheduler[str], items: str) -> None:
    """``items`` such as ``a1 b1``: the letter is the kind."""
    for item in items.split():
        scheduler.admit(item, item[0], now=0, deadline=NEVER)


def order(scheduler: Scheduler[str]) -> list[list[str]]:
    """The batches in which one lane empties ``scheduler``."""
    batches = []
    while turn := scheduler.next_turn(0).run:
        batches.append(turn)
        scheduler.finished(turn[0][0], len(turn), 1)
    return batches


def test_kinds_take_turns_however_many_wait_of_one() -> None:
    scheduler = of_kinds("a", "b", "c")
    admit(scheduler, "a1 a2 a3 a4 b1 b2 c1")
    assert order(scheduler) == [["a1"], ["b1"], ["c1"], ["a2"], ["b2"], ["a3"], ["a4"]]
    admit(scheduler, "a5 a6 c2")
    assert order(scheduler) == [["c2"], ["a5"], ["a6"]]  # b has nothing, and a ran last


def test_a_batch_is_of_one_kind() -> None:
    scheduler = of_kinds("a", "b", max_batch=8)
    admit(scheduler, "a1 b1 a2 b2 a3")
    assert order(scheduler) == [["a1", "a2", "a3"], ["b1", "b2"]]


def test_lanes_are_for_all_kinds_together() -> None:
    scheduler = of_kinds("a", "b", lanes=2)
    admit(scheduler, "a1")
    assert scheduler.next_turn(0).run == ["a1"]
    assert scheduler.alone
    admit(scheduler, "b1 b2")
    assert not scheduler.alone
    assert scheduler.next_turn(0).run == ["b1"]
    assert not scheduler.next_turn(0).run
    scheduler.finished("a", 1, 1)
    assert scheduler.next_turn(0).run == ["b2"]


def test_a_kind_whose_queue_is_full_keeps_no_other_out() -> None:
    scheduler = of_kinds("a", "b", max_queue=2)
    admit(scheduler, "a1 a2")
    with pytest.raises(Overloaded, match="2 pictures are waiting"):
        admit(scheduler, "a3")
    admit(scheduler, "b1")
    assert order(scheduler) == [["a1"], ["b1"], ["a2"]]


def test_a_window_of_one_kind_holds_up_no_other() -> None:
    scheduler = of_kinds("a", "b", max_batch=2, max_wait=10)
    scheduler.admit("a1", "a", now=0, deadline=NEVER)
    scheduler.admit("b1", "b", now=4, deadline=NEVER)
    assert scheduler.next_turn(5) == Turn(wake_at=10)
    scheduler.admit("b2", "b", now=6, deadline=NEVER)
    assert scheduler.next_turn(6).run == ["b1", "b2"]


def test_the_wait_is_that_of_the_turns_ahead_at_each_kinds_own_pace() -> None:
    scheduler = of_kinds("a", "b")
    for kind, took in (("a", 100), ("b", 10)):
        admit(scheduler, f"{kind}0")
        scheduler.next_turn(0)
        scheduler.finished(kind, 1, took)
    admit(scheduler, "a1 a2 a3 a4 a5")
    assert scheduler.next_turn(0).run == ["a1"]
    # What runs, at most one of the other kind, and what waits of its own.
    assert scheduler.expected_wait("b") == 100 + 10
    admit(scheduler, "b1")
    assert scheduler.expected_wait("b") == 2 * 100 + 2 * 10
    assert scheduler.expected_wait("a") == 5 * 100 + 10


def test_a_kind_that_is_gone_takes_no_turn() -> None:
    scheduler = of_kinds("a", "b")
    admit(scheduler, "a1")
    assert order(scheduler) == [["a1"]]
    scheduler.remove("a")
    admit(scheduler, "b1")
    assert order(scheduler) == [["b1"]]


@given(
    st.lists(st.sampled_from("abc"), max_size=60),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 10),
)
def test_every_item_leaves_once_and_each_kind_in_order(
    kinds: list[str], max_batch: int, lanes: int, every: int
) -> None:
    scheduler = of_kinds("a", "b", "c", max_batch=max_batch, lanes=lanes)
    running: list[list[str]] = []
    ran: list[str] = []

    def step() -> None:
        if running and len(running) == lanes:
            done = running.pop(0)
            scheduler.finished(done[0][0], len(done), 1)
        if run := scheduler.next_turn(0).run:
            running.append(run)
            ran.extend(run)
            assert len({item[0] for item in run}) == 1

    for number, kind in enumerate(kinds):
        scheduler.admit(f"{kind}{number}", kind, now=0, deadline=NEVER)
        if every and number % every == 0:
            step()
    while len(scheduler):
        step()
    assert len(ran) == len(kinds)
    for kind in "abc":
        assert [item for item in ran if item[0] == kind] == [
            f"{kind}{number}" for number, one in enumerate(kinds) if one == kind
        ]
