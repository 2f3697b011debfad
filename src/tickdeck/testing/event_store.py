"""The contract of ``EventStore`` as tests. Subclass ``EventStoreContract`` to test your own store."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tickdeck.application.ports import EventStore, Snapshot, TapeQuery
from tickdeck.domain.events import (
    CandleEvent,
    CommandReceived,
    DomainEvent,
    OrderAcceptedEvent,
    PositionOpenedEvent,
    RawEvent,
    SignalSnapshotEvent,
    TimerFired,
    TradeEvent,
)
from tickdeck.domain.values import Side
from tickdeck.errors import ConcurrencyError, TapeError

__all__ = ["CHILDREN", "ROOTS", "SYMBOLS", "EventStoreContract", "make", "make_cascade", "trades"]

SECOND = 1_000_000_000
ORDER = "order/main/o-BTCUSDT"
OTHER = "order/main/o-ETHUSDT"


ROOTS = ("trade", "command", "timer")
CHILDREN = ("candle", "signal", "order", "position")
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def make(kind: str, symbol: str, **envelope: Any) -> DomainEvent:
    if kind == "trade":
        return TradeEvent(symbol=symbol, price=Decimal("61.50"), quantity=Decimal("0.1"), side=Side.BUY, **envelope)
    if kind == "command":
        return CommandReceived(command="halt", **envelope)
    if kind == "timer":
        return TimerFired(timer_id=1, name="t", due=0, **envelope)
    if kind == "candle":
        one = Decimal(1)
        return CandleEvent(
            symbol=symbol,
            interval=1,
            open_ts=0,
            close_ts=1,
            open=one,
            high=one,
            low=one,
            close=one,
            volume=one,
            **envelope,
        )
    if kind == "signal":
        return SignalSnapshotEvent(symbol=symbol, values={"ema-12": 1.5}, **envelope)
    if kind == "order":
        return OrderAcceptedEvent(order_id=f"o-{symbol}", symbol=symbol, **envelope)
    assert kind == "position"
    return PositionOpenedEvent(
        symbol=symbol, quantity=Decimal(1), cost=Decimal(2), average_price=Decimal(2), **envelope
    )


def make_cascade(
    root: str, children: tuple[str, ...], symbol: str, *, number: int, seq: int, ts: int, correlation_id: str = ""
) -> list[DomainEvent]:
    """The stamped cascade of input ``number`` of a run. ``seq`` is that of the input."""
    story = correlation_id or str(number)
    events = [make(root, symbol, event_id=str(number), correlation_id=story, seq=seq, ts=ts, ts_ingress=ts)]
    for k, kind in enumerate(children, start=1):
        events.append(
            make(
                kind,
                symbol,
                event_id=f"{number}-{k}",
                correlation_id=story,
                causation_id=str(number),
                seq=seq + k,
                ts=ts,
                ts_ingress=ts,
            )
        )
    return events


def trades(count: int, first_seq: int = 1) -> list[list[DomainEvent]]:
    return [
        make_cascade("trade", (), "BTCUSDT", number=seq, seq=seq, ts=seq * SECOND)
        for seq in range(first_seq, first_seq + count)
    ]


def orders(*seqs: int) -> list[DomainEvent]:
    return [make("order", "BTCUSDT", seq=seq, event_id=str(seq)) for seq in seqs]


class EventStoreContract(ABC):
    """Tests for a store. Define a subclass whose name begins with ``Test``, and ``open`` your store in it::

    class TestMyStore(EventStoreContract):
        def open(self, folder: Path) -> EventStore:
            return MyStore(folder / "events")
    """

    survives: ClassVar[bool] = True
    """True if a store that is opened again contains the events that were appended before."""

    @abstractmethod
    def open(self, folder: Path) -> EventStore:
        """Open the store that belongs to ``folder``. It is empty for a new folder."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[EventStore]:
        opened = self.open(tmp_path)
        yield opened
        opened.close()

    # -- appending and waiting ----------------------------------------------------------------------------------------

    def test_an_empty_store_is_at_position_zero(self, store: EventStore) -> None:
        assert (store.last_seq, store.durable_seq) == (0, 0)
        assert list(store.read()) == []

    def test_append_moves_the_position_and_waiting_makes_it_durable(self, store: EventStore) -> None:
        store.append(make_cascade("trade", ("candle", "signal"), "BTCUSDT", number=1, seq=1, ts=1))

        store.wait_durable(3)

        assert (store.last_seq, store.durable_seq) == (3, 3)

    def test_waiting_in_a_coroutine_makes_it_durable(self, store: EventStore) -> None:
        async def wait_for_all() -> None:
            for cascade in trades(20):
                store.append(cascade)
            await asyncio.gather(*(store.wait_durable_async(seq) for seq in range(1, 21)))

        asyncio.run(wait_for_all())

        assert store.durable_seq == 20

    def test_waiting_for_a_gap_after_the_last_event_returns_when_everything_is_durable(self, store: EventStore) -> None:
        store.append(trades(1)[0])

        store.wait_durable(10)
        asyncio.run(store.wait_durable_async(10))

        assert store.durable_seq == 1

    def test_a_seq_that_does_not_increase_is_refused_with_its_whole_cascade(self, store: EventStore) -> None:
        first, second = make_cascade("trade", ("order",), "BTCUSDT", number=1, seq=7, ts=1)
        store.append([first, second])

        for bad in ([first], [second], [trades(1, 9)[0][0], second]):
            with pytest.raises(TapeError, match="seq must increase"):
                store.append(bad)

        store.wait_durable(8)
        assert store.last_seq == 8
        assert list(store.read()) == [first, second]

    def test_an_empty_cascade_is_harmless(self, store: EventStore) -> None:
        store.append([])

        assert store.statistics().appended == 0

    def test_statistics_count_events_since_opening(self, store: EventStore) -> None:
        for cascade in trades(5):
            store.append(cascade)
        store.wait_durable(5)

        statistics = store.statistics()

        assert (statistics.appended, statistics.durable, statistics.waiting) == (5, 5, 0)
        assert 1 <= statistics.commits <= 5

    def test_a_store_can_be_closed_twice_and_then_refuses_events(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.append(trades(1)[0])

        store.close()
        store.close()

        assert store.durable_seq == 1
        store.wait_durable(1)
        with pytest.raises(TapeError, match="closed"):
            store.append(trades(1, 2)[0])

    def test_a_reopened_store_continues_at_its_last_position(self, tmp_path: Path) -> None:
        if not self.survives:
            return
        store = self.open(tmp_path)
        store.append(trades(1, 5)[0])
        store.close()

        again = self.open(tmp_path)

        assert (again.last_seq, again.durable_seq) == (5, 5)
        assert again.statistics().appended == 0
        again.close()

    # -- reading ------------------------------------------------------------------------------------------------------

    def test_events_are_read_back_as_they_were_in_order(self, store: EventStore) -> None:
        events: list[DomainEvent] = []
        for number, (root, child) in enumerate(((root, child) for root in ROOTS for child in CHILDREN), start=1):
            cascade = make_cascade(root, (child,), "BTCUSDT", number=number, seq=len(events) + 1, ts=number)
            store.append(cascade)
            events += cascade
        store.wait_durable(len(events))

        found = list(store.read())

        assert found == events
        assert [type(event) for event in found] == [type(event) for event in events][: len(found)]

    def test_an_event_of_an_unknown_type_is_kept_raw(self, store: EventStore) -> None:
        stranger = RawEvent(
            raw_type="news_of_the_contract.published",
            raw_version=3,
            raw={"event_id": "1", "seq": 1, "symbol": "BTCUSDT", "headline": "é"},
            event_id="1",
            seq=1,
        )
        store.append([stranger])
        store.wait_durable(1)

        found = list(store.read(TapeQuery(types=("news_of_*",), symbol="BTCUSDT")))

        assert found == [stranger]

    def test_a_clock_that_jumps_back_hides_no_event(self, store: EventStore) -> None:
        events = [
            make("trade", "BTCUSDT", seq=seq, ts_ingress=ts) for seq, ts in enumerate((50, 60, 10, 55, 70), start=1)
        ]
        for event in events:
            store.append([event])
        store.wait_durable(5)

        found = [event.seq for event in store.read(TapeQuery(first_ts=50, last_ts=60))]

        assert found == [1, 2, 4]

    @pytest.mark.parametrize(
        "query",
        [
            TapeQuery(first_ts=1 << 70),
            TapeQuery(last_ts=-(1 << 70)),
            TapeQuery(first_seq=1 << 70),
            TapeQuery(last_seq=-1),
            TapeQuery(limit=0),
            TapeQuery(types=("nothing.*",)),
            TapeQuery(correlation_id="9" * 30),
            TapeQuery(correlation_id="no number"),
            TapeQuery(correlation_id="77"),
            TapeQuery(stream="order/main/none"),
        ],
        ids=str,
    )
    def test_a_query_without_matches_returns_nothing(self, store: EventStore, query: TapeQuery) -> None:
        for cascade in trades(3):
            store.append(cascade)
        store.wait_durable(3)

        assert list(store.read(query)) == []

    def test_bounds_beyond_64_bits_do_not_restrict(self, store: EventStore) -> None:
        store.append(trades(1)[0])
        store.wait_durable(1)

        found = list(
            store.read(TapeQuery(first_ts=-(1 << 70), last_ts=1 << 70, first_seq=-5, last_seq=1 << 70, limit=1 << 70))
        )

        assert len(found) == 1

    def test_reading_continues_after_an_event_id(self, store: EventStore) -> None:
        for number, seq in ((2, 1), (5, 4), (7, 8)):
            store.append(make_cascade("trade", ("candle", "order"), "BTCUSDT", number=number, seq=seq, ts=seq))
        store.wait_durable(10)

        assert [event.event_id for event in store.read(TapeQuery(from_id="5"))] == ["5-1", "5-2", "7", "7-1", "7-2"]
        assert [event.event_id for event in store.read(TapeQuery(from_id="5-2", limit=1))] == ["7"]
        assert [event.event_id for event in store.read(TapeQuery(from_id="2", types=("order.*",)))] == [
            "2-2",
            "5-2",
            "7-2",
        ]
        assert list(store.read(TapeQuery(from_id="7-2"))) == []

    @pytest.mark.parametrize("ids", [("b", "a", "c"), ("9", "3", "5"), ("", "x-1", "7")], ids=str)
    def test_ids_that_a_kernel_did_not_give_are_found_too(self, store: EventStore, ids: tuple[str, ...]) -> None:
        for seq, event_id in enumerate(ids, start=1):
            store.append([make("trade", "BTCUSDT", seq=seq, event_id=event_id)])
        store.wait_durable(3)

        for seq, event_id in enumerate(ids, start=1):
            assert [event.seq for event in store.read(TapeQuery(from_id=event_id))] == list(range(seq + 1, 4))

    @pytest.mark.parametrize("missing", ["3", "1-9", "none", "9" * 30, 'with "quotes"'])
    def test_reading_from_a_missing_id_raises_a_clear_error(self, store: EventStore, missing: str) -> None:
        store.append(make_cascade("trade", ("order",), "BTCUSDT", number=1, seq=1, ts=1))
        store.wait_durable(2)

        with pytest.raises(TapeError, match="there is no event") as caught:
            list(store.read(TapeQuery(from_id=missing)))
        assert repr(missing) in str(caught.value)

    # -- streams and snapshots ----------------------------------------------------------------------------------------

    def test_an_append_is_accepted_only_at_the_expected_version(self, store: EventStore) -> None:
        store.append(orders(1, 2), expected_version=0)

        for wrong in (1, 3, 17):
            with pytest.raises(ConcurrencyError, match="version 2, not the expected"):
                store.append(orders(3), expected_version=wrong)
        store.append(orders(3), expected_version=2)

        store.wait_durable(3)
        assert store.last_seq == 3
        assert [event.seq for event in store.read(TapeQuery(stream=ORDER))] == [1, 2, 3]
        assert store.stream_version(ORDER) == 3

    def test_a_single_expected_version_needs_events_of_one_stream(self, store: EventStore) -> None:
        mixed = [*orders(1), make("order", "ETHUSDT", seq=2)]
        without = [make("trade", "BTCUSDT", seq=1)]

        for events in (mixed, without, [*orders(1), make("trade", "BTCUSDT", seq=2)]):
            with pytest.raises(TapeError, match="events of one stream"):
                store.append(events, expected_version=0)

        assert store.last_seq == 0

    def test_several_streams_are_written_together_if_all_have_the_expected_versions(self, store: EventStore) -> None:
        store.append(orders(1, 2))
        both = [make("order", "BTCUSDT", seq=3, event_id="3"), make("order", "ETHUSDT", seq=4, event_id="4")]

        for wrong in ({ORDER: 1, OTHER: 0}, {ORDER: 2, OTHER: 1}, {ORDER: 2, OTHER: 0, "position/main/BTCUSDT": 1}):
            with pytest.raises(ConcurrencyError, match="nothing was written"):
                store.append(both, expected=wrong)
        assert store.last_seq == 2
        store.append(both, expected={ORDER: 2, OTHER: 0, "position/main/BTCUSDT": 0})

        assert [event.seq for event in store.read()] == [1, 2, 3, 4]
        assert (store.stream_version(ORDER), store.stream_version(OTHER)) == (3, 1)

    def test_versions_of_streams_are_known_after_reopening(self, tmp_path: Path) -> None:
        if not self.survives:
            return
        for seqs in ((1, 2), (3,)):
            store = self.open(tmp_path)
            store.append(orders(*seqs))
            store.close()

        again = self.open(tmp_path)

        assert again.stream_version(ORDER) == 3
        assert again.stream_version("order/main/none") == 0
        again.close()

    def test_snapshots_are_kept_by_version_and_make_their_events_durable(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.append(orders(1, 2, 3))
        assert store.load_snapshot(ORDER) is None

        store.save_snapshot(ORDER, 2, b"first \x00\xff")
        assert store.durable_seq == 3
        assert store.load_snapshot(ORDER) == Snapshot(2, b"first \x00\xff")
        store.save_snapshot(ORDER, 3, b"second")
        store.save_snapshot("position/main/é 'x'", 0, b"")
        store.save_snapshot(ORDER, 1, b"saved late")
        self._check_snapshots(store)
        store.close()

        if self.survives:
            again = self.open(tmp_path)
            self._check_snapshots(again)
            again.close()

    def _check_snapshots(self, store: EventStore) -> None:
        assert store.load_snapshot(ORDER) == Snapshot(3, b"second")
        found = {upto: store.load_snapshot(ORDER, upto=upto) for upto in range(5)}
        first, second = Snapshot(2, b"first \x00\xff"), Snapshot(3, b"second")
        assert found == {0: None, 1: Snapshot(1, b"saved late"), 2: first, 3: second, 4: second}
        assert store.load_snapshot("position/main/é 'x'") == Snapshot(0, b"")

    def test_a_snapshot_is_never_overwritten(self, store: EventStore) -> None:
        store.append(orders(1, 2))
        store.save_snapshot(ORDER, 1, b"state")
        store.save_snapshot(ORDER, 1, b"state")

        with pytest.raises(ConcurrencyError, match="another snapshot of version 1"):
            store.save_snapshot(ORDER, 1, b"other")

        assert store.load_snapshot(ORDER, upto=1) == Snapshot(1, b"state")

    def test_a_snapshot_beyond_the_events_of_its_stream_is_refused(self, store: EventStore) -> None:
        store.append(orders(1))

        for version in (2, -1):
            with pytest.raises(ConcurrencyError, match=rf"at version {version}, but the stream has 1 events"):
                store.save_snapshot(ORDER, version, b"")

        assert store.load_snapshot(ORDER) is None

    def test_a_closed_store_refuses_snapshots(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.close()
        with pytest.raises(TapeError, match="closed"):
            store.save_snapshot(ORDER, 0, b"")

    # -- unstamped events ---------------------------------------------------------------------------------------------

    def test_an_unstamped_event_gets_the_stamps_that_it_lacks(self, store: EventStore) -> None:
        first, second = store.append([make("order", "BTCUSDT"), make("order", "ETHUSDT", ts=7, correlation_id="story")])
        (third,) = store.append([make("trade", "BTCUSDT", source="hand")])

        found = list(store.read())

        assert found == [first, second, third]
        assert [event.seq for event in found] == [1, 2, 3]
        assert [event.event_id for event in found] == ["1", "2", "3"]
        assert [event.correlation_id for event in found] == ["1", "story", "3"]
        assert (second.ts, first.ts) == (7, first.ts_ingress)
        assert 0 < first.ts_ingress <= second.ts_ingress <= third.ts_ingress

    def test_an_unstamped_event_follows_the_events_that_a_kernel_stamped(self, store: EventStore) -> None:
        future = 1 << 62
        store.append(make_cascade("trade", ("order",), "BTCUSDT", number=4, seq=7, ts=future))

        (event,) = store.append([make("order", "ETHUSDT")])

        assert (event.seq, event.event_id, event.ts_ingress) == (9, "5", future)

    def test_append_does_not_change_the_given_event(self, store: EventStore) -> None:
        event = make("order", "BTCUSDT")

        store.append([event, event])

        assert (event.seq, event.event_id) == (0, "")
        assert [event.seq for event in store.read()] == [1, 2]

    def test_several_threads_can_append_unstamped_events(self, store: EventStore) -> None:
        def append() -> None:
            for _ in range(20):
                store.append([make("order", "BTCUSDT")])

        threads = [threading.Thread(target=append) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [event.event_id for event in store.read()] == [str(number) for number in range(1, 81)]

    # -- other ways to read -------------------------------------------------------------------------------------------

    def test_appended_events_can_be_read_immediately(self, store: EventStore) -> None:
        for count in range(1, 6):
            store.append(trades(1, count)[0])
            assert len(list(store.read())) == count

    def test_a_store_can_be_read_with_async_for(self, store: EventStore) -> None:
        for cascade in trades(600):
            store.append(cascade)

        async def read() -> list[int]:
            return [event.seq async for event in store.read(TapeQuery(first_seq=2))]

        assert asyncio.run(read()) == list(range(2, 601))

    @pytest.mark.parametrize("count", [0, 1, 3, 700, 5_000])
    def test_the_last_events_are_the_newest_in_order(self, store: EventStore, count: int) -> None:
        for cascade in trades(700):
            store.append(cascade)
        store.append(orders(701))

        assert [event.seq for event in store.last(count)] == list(range(1, 702))[-count or 702 :]
        assert [event.seq for event in store.last(count, TapeQuery(types=("market.*",)))] == list(range(1, 701))[
            -count or 701 :
        ]
        assert [event.seq for event in store.last(2, TapeQuery(last_seq=5))] == [4, 5]
        assert [event.seq for event in store.last(2, TapeQuery(limit=5))] == [4, 5]
        assert [event.seq for event in store.last(9, TapeQuery(first_seq=700))] == [700, 701]

    def test_following_returns_each_existing_and_new_event_once(self, store: EventStore) -> None:
        async def follow() -> list[int]:
            seqs: list[int] = []
            store.append(trades(1)[0])
            async for event in store.follow(TapeQuery(types=("market.*",), limit=5)):
                seqs.append(event.seq)
                if event.seq < 5:
                    store.append(trades(1, event.seq + 1)[0])
            return seqs

        assert asyncio.run(asyncio.wait_for(follow(), 10)) == [1, 2, 3, 4, 5]

    def test_following_ends_when_the_store_is_closed(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)

        async def follow() -> list[int]:
            seqs: list[int] = []
            for cascade in trades(3):
                store.append(cascade)
            async for event in store.follow():
                seqs.append(event.seq)
                if event.seq == 3:
                    store.close()
            return seqs

        assert asyncio.run(asyncio.wait_for(follow(), 10)) == [1, 2, 3]

    def test_following_starts_after_an_id_and_ends_at_its_last_seq(self, store: EventStore) -> None:
        for cascade in trades(5):
            store.append(cascade)

        async def follow(query: TapeQuery) -> list[int]:
            return [event.seq async for event in store.follow(query)]

        assert asyncio.run(asyncio.wait_for(follow(TapeQuery(from_id="2", last_seq=4)), 10)) == [3, 4]
