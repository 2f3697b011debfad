"""Tests of a store: streams with their versions, and snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest

from tickdeck.application.ports import EventStore, Snapshot, TapeQuery
from tickdeck.errors import ConcurrencyError, TapeError
from tickdeck.testing.event_store.events import ORDER, OTHER, make, orders
from tickdeck.testing.event_store.opening import StoreTests

__all__ = ["StreamTests"]


class StreamTests(StoreTests):
    """Stream versions and snapshots."""

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
