"""Tests of a store: appending events, and waiting until they are durable."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from tickdeck.application.ports import EventStore
from tickdeck.errors import TapeError
from tickdeck.testing.event_store.events import make, make_cascade, trades
from tickdeck.testing.event_store.opening import StoreTests

__all__ = ["AppendingTests"]


class AppendingTests(StoreTests):
    """Appending stamped and unstamped events, and waiting for them."""

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
