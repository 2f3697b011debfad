"""A run's record: the tape and its input files as one sequence, and the check of an execution against it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from application_kit import START, MemoryTape, Ping, Pong, trade

from tickdeck.application.kernel import Kernel
from tickdeck.application.proof import RecordCheck, RecordDiverged, merge_record
from tickdeck.domain.events import DomainEvent, OrderAcceptedEvent, RawEvent, RunStarted, RunStopped, TradeEvent
from tickdeck.errors import RunError, TapeError
from tickdeck.infrastructure.tape import InMemoryEventStore


def market(count: int) -> Iterator[TradeEvent]:
    """Some of these are out of order by our clock, as in merged files."""
    return (trade(str(n), ts=START + n - (n % 3)) for n in range(1, count + 1))


def a_run(inputs: int = 9) -> tuple[MemoryTape, list[DomainEvent]]:
    """A run from files: its tape, and all dispatched events."""
    tape, everything = MemoryTape(), list[DomainEvent]()
    kernel = Kernel(tape=tape)
    kernel.subscribe("*", everything.append)
    kernel.subscribe(TradeEvent, lambda e: kernel.publish_all([Ping(), Ping(n=1)]), where=lambda e: e.price % 4 == 0)
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()))
    kernel.feed(RunStarted(ts=START, ts_ingress=START))
    for event in market(inputs):
        kernel.feed(event, record=False)
    kernel.feed(RunStopped())
    return tape, everything


def replayed(check: RecordCheck, inputs: int = 9, extra: int | None = None, missing: int | None = None) -> Kernel:
    """The same run once more into ``check``, with an extra pong or a missing one on the trade of that number."""
    kernel = Kernel(tape=check)
    kernel.subscribe(TradeEvent, lambda e: kernel.publish_all([Ping(), Ping(n=1)]), where=lambda e: e.price % 4 == 0)
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()) if _number(kernel) != missing else None)
    kernel.subscribe(TradeEvent, lambda e: kernel.publish(Pong()) if e.price == extra else None)
    kernel.feed(RunStarted(ts=START, ts_ingress=START))
    for event in market(inputs):
        kernel.feed(event, record=False)
    kernel.feed(RunStopped())
    return kernel


def _number(kernel: Kernel) -> int:
    return kernel.inputs - 1


# -- merging ----------------------------------------------------------------------------------------------------


def test_gaps_in_the_tape_are_filled_with_stamped_events_of_the_files() -> None:
    tape, everything = a_run()
    assert len(tape.events) < len(everything)

    assert list(merge_record(iter(tape.events), market(9))) == everything


def test_the_files_are_not_read_beyond_the_tapes_end() -> None:
    tape, everything = a_run()
    until = next(i for i, e in enumerate(tape.events) if e.seq > 5)
    rest = market(9)

    merged = list(merge_record(iter(tape.events[:until]), rest))

    assert merged == everything[: merged[-1].seq]
    assert next(rest) is not None


def test_files_that_end_before_the_tape_are_refused() -> None:
    tape, _ = a_run()
    with pytest.raises(RunError, match="there is no event with seq 12 on the tape or left in the input files"):
        list(merge_record(iter(tape.events), market(6)))


def test_a_record_without_files_is_the_tape() -> None:
    tape = MemoryTape()
    kernel = Kernel(tape=tape)
    kernel.feed(Ping())
    assert list(merge_record(iter(tape.events), iter(()))) == tape.events


# -- checking ---------------------------------------------------------------------------------------------------


def test_an_execution_that_does_the_same_passes() -> None:
    tape, _ = a_run()
    check = RecordCheck(iter(tape.events))
    replayed(check)

    assert check.next is None
    check.expect_nothing_before(10**9)


def diverging(tape: list[DomainEvent], **how: int) -> RecordDiverged:
    with pytest.raises(RecordDiverged) as caught:
        replayed(RecordCheck(iter(tape)), **how)
    return caught.value


def test_an_extra_event_is_a_divergence() -> None:
    diverged = diverging(a_run()[0].events, extra=3)

    assert str(diverged) == "at seq 5 the tape has nothing, but the execution produced test.pong 4-1"


def test_a_missing_event_in_the_middle_of_a_cascade_is_a_divergence() -> None:
    diverged = diverging(a_run()[0].events, missing=4)

    # seq 5 is the fourth trade, 6 and 7 its pings, 8 and 9 their pongs
    assert diverged.divergence.recorded is not None
    assert str(diverged) == "at seq 8 the tape has test.pong 5-1-1, but the execution produced nothing"


def test_different_bytes_are_a_divergence_that_shows_both_events() -> None:
    tape = a_run()[0].events
    changed = [Ping(**{**_fields(e), "n": 7}) if e.seq == 7 else e for e in tape]

    diverged = diverging(changed).divergence

    assert (diverged.seq, diverged.recorded, diverged.executed) == (7, changed[2], tape[2])


def test_a_different_type_with_the_same_bytes_is_a_divergence() -> None:
    tape = a_run()[0].events
    changed = [Pong(**_fields(e)) if e.seq == 7 else e for e in tape]
    assert "the tape has test.pong 5-2, but the execution produced test.ping 5-2" in str(diverging(changed))


def _fields(event: DomainEvent) -> dict[str, object]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_a_record_that_ends_within_a_cascade_is_a_divergence() -> None:
    tape = a_run()[0].events
    cut = [e for e in tape if e.seq < 8]
    assert "at seq 8 the tape has nothing, but the execution produced test.pong 5-1-1" in str(diverging(cut))


def test_a_record_may_end_between_two_cascades() -> None:
    tape = a_run()[0].events
    check = RecordCheck(iter([e for e in tape if e.seq <= 9]))
    replayed(check)
    assert check.next is None


def test_an_omitted_event_is_found_when_later_seqs_arrive() -> None:
    tape = a_run()[0].events
    check = RecordCheck(iter(tape[1:]))

    check.expect_nothing_before(5)
    with pytest.raises(RecordDiverged, match=r"seq 6 the tape has test.ping 5-1, but the execution produced nothing"):
        check.expect_nothing_before(6)


def test_a_continued_record_passes_on_events_beyond_its_end() -> None:
    tape = a_run()[0]
    whole = list(tape.events)
    kept = MemoryTape()
    kept.cascades = [c for c in tape.cascades if c[0].seq <= 9]
    check = RecordCheck(iter(kept.events), then=kept)

    replayed(check)

    assert kept.events == whole
    assert check.last_seq == whole[-1].seq
    assert check.durable_seq == kept.durable_seq
    check.wait_durable(check.last_seq)
    asyncio.run(check.wait_durable_async(check.last_seq))
    assert list(check.read()) == whole
    assert check.statistics() == kept.statistics()
    check.close()


def test_a_continued_record_must_be_finished_by_the_runs_end() -> None:
    tape = a_run()[0]
    later = Pong(event_id="99", seq=99)
    with pytest.raises(RecordDiverged, match=r"seq 99 the tape has test.pong 99, but the execution produced nothing"):
        replayed(RecordCheck(iter([*tape.events, later]), then=tape))


def test_a_proof_stores_nothing() -> None:
    tape = a_run()[0]
    check = RecordCheck(iter(tape.events))
    assert check.last_seq == 0
    kernel = replayed(check)

    assert check.last_seq == check.durable_seq == kernel.seq
    check.wait_durable(1)
    asyncio.run(check.wait_durable_async(1))
    assert list(check.read()) == []
    assert check.statistics().appended == 0
    check.close()


def test_a_tape_that_fails_beyond_the_record_fails_the_run() -> None:
    tape = MemoryTape()
    check = RecordCheck(iter(()), then=tape)
    tape.error = TapeError("full")
    with pytest.raises(TapeError, match="full"):
        Kernel(tape=check).feed(Ping())


def test_unknown_types_are_compared_like_others() -> None:
    def execute(check: RecordCheck | MemoryTape, value: int) -> None:
        Kernel(tape=check).feed(RawEvent(raw_type="news.published", raw={"value": value}))

    tape = MemoryTape()
    execute(tape, 1)
    execute(RecordCheck(iter(tape.events)), 1)
    with pytest.raises(RecordDiverged):
        execute(RecordCheck(iter(tape.events)), 2)


def test_a_snapshot_is_that_of_the_reached_version() -> None:
    def accepted() -> OrderAcceptedEvent:
        return OrderAcceptedEvent(order_id="a", symbol="BTCUSDT")

    stream = "order/main/a"
    store = InMemoryEventStore()
    kernel = Kernel(tape=store)
    for version in (1, 2):
        kernel.feed(accepted())
        store.save_snapshot(stream, version, b"%d" % version)

    for check in (RecordCheck(store.read(), then=store), RecordCheck(store.read(), past=store)):
        again, found = Kernel(tape=check), [(check.stream_version(stream), check.load_snapshot(stream))]
        again.feed(accepted())
        check.save_snapshot(stream, 1, b"what this execution has")
        found.append((check.stream_version(stream), check.load_snapshot(stream)))
        again.feed(accepted())
        found.append((check.stream_version(stream), check.load_snapshot(stream)))
        assert found == [(0, None), (1, (1, b"1")), (2, (2, b"2"))]
        assert check.load_snapshot(stream, upto=1) == (1, b"1")

    resumed = RecordCheck(iter(()), then=store)
    resumed.save_snapshot(stream, 0, b"new")
    assert store.load_snapshot(stream, upto=0) == (0, b"new")
