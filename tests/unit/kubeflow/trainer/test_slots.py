"""Who gets the machine's slots."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from pantheon.kubeflow.trainer.slots import Place, Slots, victims


def names(places: list[Place]) -> list[str]:
    return [place.key for place in places]


def running(slots: Slots) -> list[str]:
    return sorted(place.key for place in slots.places if place.running)


def test_the_oldest_of_the_same_priority_is_first_and_nobody_overtakes_it() -> None:
    slots = Slots(4)
    first = slots.enter("first", 0, "2026-01-01", 3)
    large = slots.enter("large", 0, "2026-01-02", 4)
    small = slots.enter("small", 0, "2026-01-03", 1)
    assert running(slots) == ["first"]
    assert slots.ahead(small) == "1 of 4 slots (1 free), large is first"
    assert slots.ahead(large) == "4 of 4 slots (1 free)"
    slots.leave(first)
    assert running(slots) == ["large"]
    slots.leave(large)
    assert running(slots) == ["small"]
    assert slots.ahead(small) == "1 of 4 slots (3 free)", "it may have been admitted meanwhile"


def test_a_higher_priority_takes_the_slots_which_are_given_back_later() -> None:
    slots = Slots(4)
    low = slots.enter("low", -1, "2026-01-01", 2)
    normal = slots.enter("normal", 0, "2026-01-01", 2)
    high = slots.enter("high", 5, "2026-01-02", 2)
    assert (low.evicted_by, normal.evicted_by, high.running) == ("high", "", False)
    slots.queue_again(low)  # its nodes have been stopped
    assert running(slots) == ["high", "normal"]
    same = slots.enter("same", 0, "2026-01-03", 2)
    assert not normal.evicted_by, "the same priority does not suffice"
    slots.leave(high)
    assert running(slots) == ["normal", "same"]
    slots.leave(normal)
    assert running(slots) == ["low", "same"]
    for place in (low, same):
        slots.leave(place)
    assert not slots.places


def test_waiting_ends_with_the_job() -> None:
    slots = Slots(1)
    slots.enter("first", 0, "1", 1)
    stopping = threading.Event()
    stopping.set()
    assert not slots.wait(slots.enter("second", 0, "2", 1), stopping)


PLACES = st.lists(st.tuples(st.integers(-2, 2), st.integers(1, 4), st.booleans()), max_size=8)


@given(priority=st.integers(-2, 2), wanted=st.integers(1, 12), free=st.integers(0, 4), others=PLACES)
def test_victims_are_lower_enough_and_none_too_many(
    priority: int, wanted: int, free: int, others: list[tuple[int, int, bool]]
) -> None:
    head = Place("head", priority, "1", wanted)
    places = [
        Place(f"job {number}", each, "0", slots, True, float(number), "other" if ending else "")
        for number, (each, slots, ending) in enumerate(others)
    ]
    missing = wanted - free - sum(place.slots for place in places if place.evicted_by)
    possible = [place for place in places if place.priority < priority and not place.evicted_by]
    chosen = victims(head, places, free)
    assert set(names(chosen)) <= set(names(possible))
    if missing <= 0 or sum(place.slots for place in possible) < missing:
        assert not chosen
        return
    total = sum(place.slots for place in chosen)
    assert total >= missing
    assert all(total - place.slots < missing for place in chosen)


@given(
    total=st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 1), st.integers(1, 5)), max_size=30),
)
def test_slots_are_never_given_twice_and_somebody_always_runs(total: int, steps: list[tuple[int, int, int]]) -> None:
    """Jobs come, are stopped when asked, and end: in every order, the queue goes on."""
    slots = Slots(total)
    for number, (step, priority, wanted) in enumerate(steps):
        evicted = [place for place in slots.places if place.running and place.evicted_by]
        held = [place for place in slots.places if place.running]
        if step == 0:
            slots.enter(f"job {number}", priority, f"{number:03}", min(wanted, total))
        elif step == 1 and evicted:
            slots.queue_again(evicted[0])
        elif held:
            slots.leave(held[-1])
        used = sum(place.slots for place in slots.places if place.running)
        assert used <= total
        assert any(place.running for place in slots.places) or not slots.places
    while slots.places:
        slots.leave(next(place for place in slots.places if place.running))
