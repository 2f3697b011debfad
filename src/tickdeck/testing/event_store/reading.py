"""Tests of a store: queries, the last events, and following."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tickdeck.application.ports import EventStore, TapeQuery
from tickdeck.domain.events import (
    DomainEvent,
    RawEvent,
)
from tickdeck.errors import TapeError
from tickdeck.testing.event_store.events import CHILDREN, ROOTS, make, make_cascade, orders, trades
from tickdeck.testing.event_store.opening import StoreTests

__all__ = ["ReadingTests"]


class ReadingTests(StoreTests):
    """Every way to read events back."""

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
