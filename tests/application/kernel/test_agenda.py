"""The agenda: what is due, and in which order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.kernel import NEVER, RANK_OBSERVER, RANK_VENUE, Agenda
from tickdeck.application.kernel.agenda import RANK_TIMER


def run(agenda: Agenda, now: int) -> list[int]:
    """Run everything that is due, one by one. Returns the times at which they were due."""
    times = []
    while (entry := agenda.pop(now)) is not None:
        times.append(entry[0])
        entry[1]()
    return times


def test_actions_run_by_time_then_rank_then_order_of_creation() -> None:
    agenda, log = Agenda(), list[str]()
    for name, due, rank in (
        ("observer", 5, RANK_OBSERVER),
        ("venue 1", 5, RANK_VENUE),
        ("timer 1", 5, RANK_TIMER),
        ("venue 2", 5, RANK_VENUE),
        ("timer 2", 5, RANK_TIMER),
        ("early", 4, RANK_OBSERVER),
        ("late", 6, RANK_TIMER),
    ):
        agenda.at(due, lambda name=name: log.append(name), rank)

    assert run(agenda, 5) == [4, 5, 5, 5, 5, 5]
    assert log == ["early", "timer 1", "timer 2", "venue 1", "venue 2", "observer"]
    assert agenda.next_due == 6


def test_an_empty_agenda_is_never_due() -> None:
    agenda = Agenda()
    assert agenda.next_due == NEVER
    assert agenda.pop(NEVER - 1) is None


def test_a_cancelled_action_does_not_run_and_is_not_kept() -> None:
    agenda, log = Agenda(), list[str]()
    number = agenda.at(1, lambda: log.append("cancelled"))
    agenda.at(1, lambda: log.append("kept"))
    agenda.cancel(number)
    agenda.cancel(number)

    run(agenda, 1)
    agenda.cancel(number)

    assert log == ["kept"]
    assert agenda._actions == {}


def test_an_action_may_add_one_for_the_same_instant() -> None:
    agenda, log = Agenda(), list[str]()
    agenda.at(3, lambda: agenda.at(3, lambda: log.append("added"), RANK_TIMER))
    agenda.at(3, lambda: log.append("venue"))

    run(agenda, 3)

    assert log == ["added", "venue"]


def test_popping_one_rank_drops_earlier_actions_of_other_ranks() -> None:
    agenda, log = Agenda(), list[str]()
    agenda.at(1, lambda: log.append("timer"), RANK_TIMER)
    agenda.at(2, lambda: log.append("venue"), RANK_VENUE)
    agenda.at(3, lambda: log.append("observer"), RANK_OBSERVER)

    entry = agenda.pop(2, rank=RANK_VENUE)
    assert entry is not None
    entry[1]()

    assert log == ["venue"]
    assert agenda.pop(2, rank=RANK_VENUE) is None
    assert run(agenda, 9) == [3]


steps = st.lists(
    st.tuples(st.just("at"), st.integers(0, 9), st.integers(0, 2))
    | st.tuples(st.just("cancel"), st.integers(1, 20), st.just(0))
    | st.tuples(st.just("pop"), st.integers(0, 10), st.none() | st.integers(0, 2)),
    max_size=40,
)


@given(steps)
def test_an_agenda_is_a_sorted_list(steps: list[tuple[str, int, int | None]]) -> None:
    agenda = Agenda()
    model: list[tuple[int, int, int]] = []
    created = 0
    ran: list[int] = []
    for what, number, rank in steps:
        if what == "at":
            created += 1
            assert rank is not None
            assert agenda.at(number, lambda n=created: ran.append(n), rank) == created
            model = sorted([*model, (number, rank, created)])
        elif what == "cancel":
            agenda.cancel(number)
            model = [entry for entry in model if entry[2] != number]
        else:
            due = [entry for entry in model if entry[0] <= number]
            wanted = next((entry for entry in due if rank in (None, entry[1])), None)
            model = [entry for entry in model if entry not in due or (wanted is not None and entry > wanted)]
            got = agenda.pop(number, rank=rank)
            assert (got[0] if got else None) == (wanted[0] if wanted else None)
            if got is not None and wanted is not None:
                got[1]()
                assert ran[-1] == wanted[2]
        assert agenda.next_due == min((entry[0] for entry in model), default=NEVER)
        assert agenda.next == (model[0][:2] if model else (NEVER, RANK_TIMER))


def test_cancelled_entries_do_not_accumulate() -> None:
    agenda = Agenda()
    agenda.at(1, lambda: None)
    largest = 0
    for n in range(10_000):
        agenda.cancel(agenda.at(1_000_000 + n, lambda: None))
        largest = max(largest, agenda.size)

    assert len(agenda) == 1
    assert largest < 100


def test_cancelling_keeps_the_order_of_the_others() -> None:
    agenda, log = Agenda(), list[int]()
    numbers = [agenda.at(n % 7, lambda n=n: log.append(n)) for n in range(1_000)]  # type: ignore[misc]
    for n, number in enumerate(numbers):
        if n % 10:
            agenda.cancel(number)

    assert agenda.size <= 2 * len(agenda)
    while (entry := agenda.pop(10)) is not None:
        entry[1]()
    assert log == sorted(range(0, 1_000, 10), key=lambda n: (n % 7, n))
