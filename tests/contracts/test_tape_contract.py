"""The stores satisfy the contract in ``tickdeck.testing``, and agree with a list for any sequence of calls."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from tickdeck.application.ports import EventStore, Snapshot, Tape, TapeQuery
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConcurrencyError, TapeError
from tickdeck.infrastructure.tape import InMemoryEventStore, JsonlTape, NullTape, SqliteTape
from tickdeck.testing import EventStoreContract
from tickdeck.testing.event_store import CHILDREN, ROOTS, SYMBOLS, make, make_cascade


class TestContractOfSqlite(EventStoreContract):
    def open(self, folder: Path) -> EventStore:
        return SqliteTape(folder / "tape.sqlite")


class TestContractOfJsonl(EventStoreContract):
    def open(self, folder: Path) -> EventStore:
        return JsonlTape(folder / "tape")


class TestContractOfJsonlWithShortSegments(EventStoreContract):
    def open(self, folder: Path) -> EventStore:
        return JsonlTape(folder / "tape", segment_bytes=2_000)


class TestContractOfMemory(EventStoreContract):
    survives = False

    def open(self, folder: Path) -> EventStore:
        return InMemoryEventStore()


def test_a_tape_that_stores_nothing_declares_it_and_has_no_streams() -> None:
    tape = NullTape()
    tape.append([make("order", "BTCUSDT", seq=1)], expected_version=0)
    tape.save_snapshot("order/main/o-BTCUSDT", 0, b"forgotten")

    assert not tape.keeps_events
    assert (tape.durable_seq, list(tape.read()), tape.stream_version("order/main/o-BTCUSDT")) == (1, [], 0)
    assert tape.load_snapshot("order/main/o-BTCUSDT") is None
    with pytest.raises(ConcurrencyError, match="every stream has version 0"):
        tape.append([make("order", "BTCUSDT", seq=2)], expected_version=1)
    with pytest.raises(TapeError, match="seq must increase"):
        tape.append([make("order", "BTCUSDT")])
    tape.close()
    tape.close()
    with pytest.raises(TapeError, match="closed"):
        tape.append([make("order", "BTCUSDT", seq=2)])


@dataclass(frozen=True)
class Backend:
    """One implementation: how to open it in a folder, and what it declares."""

    name: str
    open: Callable[[Path], Tape]
    keeps_events: bool
    survives: bool = True


BACKENDS = [
    Backend("sqlite", lambda folder: SqliteTape(folder / "tape.sqlite"), SqliteTape.keeps_events),
    Backend("jsonl", lambda folder: JsonlTape(folder / "tape"), JsonlTape.keeps_events),
    Backend("jsonl-short", lambda folder: JsonlTape(folder / "tape", segment_bytes=2_000), JsonlTape.keeps_events),
    Backend("null", lambda folder: NullTape(), NullTape.keeps_events, survives=False),
    Backend("memory", lambda folder: InMemoryEventStore(), InMemoryEventStore.keeps_events, survives=False),
]


def select(events: list[DomainEvent], query: TapeQuery) -> list[DomainEvent]:
    """The expected answers of a tape that contains ``events``."""
    if query.from_id is not None:
        events = events[[event.event_id for event in events].index(query.from_id) + 1 :]
    found = [
        event
        for event in events
        if event.seq >= query.first_seq
        and (query.last_seq is None or event.seq <= query.last_seq)
        and (query.first_ts is None or event.ts_ingress >= query.first_ts)
        and (query.last_ts is None or event.ts_ingress <= query.last_ts)
        and (not query.types or any(fnmatchcase(event.event_type, pattern) for pattern in query.types))
        and (query.symbol is None or getattr(event, "symbol", None) == query.symbol)
        and (query.correlation_id is None or event.correlation_id == query.correlation_id)
        and (query.stream is None or event.stream == query.stream)
    ]
    return found[: query.limit]


# -- any order of calls, against a list ------------------------------------------------------------------------------

TYPES = ("*", "market.*", "market.trade", "order.*", "*.opened", "signal.snapshot", "timer.fired", "no.such")
QUERIES = st.builds(
    TapeQuery,
    first_seq=st.integers(0, 60),
    last_seq=st.none() | st.integers(0, 60),
    first_ts=st.none() | st.integers(0, 40),
    last_ts=st.none() | st.integers(0, 40),
    types=st.lists(st.sampled_from(TYPES), max_size=3).map(tuple),
    symbol=st.none() | st.sampled_from(SYMBOLS),
    correlation_id=st.none() | st.integers(1, 30).map(str),
    stream=st.none() | st.sampled_from(["order/main/o-BTCUSDT", "position/main/ETHUSDT", "order/main/none"]),
    limit=st.none() | st.integers(0, 20),
)
SIMPLE_QUERIES = st.one_of(
    st.builds(TapeQuery, types=st.lists(st.sampled_from(TYPES), min_size=1, max_size=3).map(tuple)),
    st.builds(TapeQuery, correlation_id=st.integers(1, 30).map(str)),
    st.builds(TapeQuery, first_ts=st.integers(0, 40), last_ts=st.integers(0, 40)),
    st.builds(TapeQuery, stream=st.sampled_from(["order/main/o-BTCUSDT", "position/main/ETHUSDT"])),
)


STREAMS = ("order/main/o-BTCUSDT", "order/main/o-ETHUSDT", "position/main/ETHUSDT")


class TapeMachine(RuleBasedStateMachine):
    """Cascades in the form of a kernel go to a tape and to a list, and both must give the same answers."""

    backend: ClassVar[Backend]
    stories = Bundle("stories")

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.tape = self.backend.open(self.folder)
        self.cascades: list[list[DomainEvent]] = []
        self.snapshots: dict[str, dict[int, Snapshot]] = {}
        self.since_opening = 0
        self.number = 0
        self.seq = 0
        self.ts = 0

    @property
    def events(self) -> list[DomainEvent]:
        return [event for cascade in self.cascades for event in cascade] if self.backend.keeps_events else []

    @rule(
        target=stories,
        root=st.sampled_from(ROOTS),
        children=st.lists(st.sampled_from(CHILDREN), max_size=4).map(tuple),
        symbol=st.sampled_from(SYMBOLS),
        hole=st.integers(0, 3),
        later=st.integers(-2, 5),
        recorded=st.booleans(),
    )
    def append(self, root: str, children: tuple[str, ...], symbol: str, hole: int, later: int, recorded: bool) -> str:
        self._append(root, children, symbol, hole, later, recorded=recorded, correlation_id="")
        return str(self.number)

    @rule(story=stories, children=st.lists(st.sampled_from(CHILDREN), max_size=2).map(tuple))
    def append_to_an_old_story(self, story: str, children: tuple[str, ...]) -> None:
        self._append("timer", children, "BTCUSDT", 0, 1, recorded=True, correlation_id=story)

    def _append(
        self,
        root: str,
        children: tuple[str, ...],
        symbol: str,
        hole: int,
        later: int,
        *,
        recorded: bool,
        correlation_id: str,
    ) -> None:
        """``hole`` inputs go by that leave nothing; then one whose root is on the tape if ``recorded``."""
        self.number += hole + 1
        self.seq += hole + 1
        self.ts = max(0, self.ts + later)
        cascade = make_cascade(
            root, children, symbol, number=self.number, seq=self.seq, ts=self.ts, correlation_id=correlation_id
        )
        self.seq += len(children)
        cascade = cascade if recorded else cascade[1:]
        self.tape.append(cascade)
        if cascade:
            self.cascades.append(cascade)
            self.since_opening += len(cascade)

    @rule(seq=st.integers(0, 80))
    def wait(self, seq: int) -> None:
        self.tape.wait_durable(seq)
        assert self.tape.durable_seq >= min(seq, self.tape.last_seq)

    @rule(seq=st.integers(0, 80))
    def wait_in_a_coroutine(self, seq: int) -> None:
        asyncio.run(self.tape.wait_durable_async(seq))
        assert self.tape.durable_seq >= min(seq, self.tape.last_seq)

    @rule(query=QUERIES | SIMPLE_QUERIES)
    def read(self, query: TapeQuery) -> None:
        self.tape.wait_durable(self.tape.last_seq)
        assert list(self.tape.read(query)) == select(self.events, query)

    @rule(data=st.data(), query=QUERIES | SIMPLE_QUERIES | st.just(TapeQuery()))
    def read_after_an_id(self, data: st.DataObject, query: TapeQuery) -> None:
        if self.events:
            event = data.draw(st.sampled_from(self.events))
            self.read(msgspec.structs.replace(query, from_id=event.event_id))

    @rule(symbol=st.sampled_from(SYMBOLS), count=st.integers(1, 3), off=st.sampled_from([0, 0, 1, -1]))
    def append_to_a_stream_at_a_version(self, symbol: str, count: int, off: int) -> None:
        version = self.version(f"order/main/o-{symbol}")
        events = make_cascade("timer", ("order",) * count, symbol, number=self.number + 1, seq=self.seq + 1, ts=self.ts)
        if version + off < 0:
            return
        if off:
            with pytest.raises(ConcurrencyError):
                self.tape.append(events[1:], expected_version=version + off)
            return
        self.tape.append(events[1:], expected_version=version)
        self.number, self.seq = self.number + 1, events[-1].seq
        self.cascades.append(events[1:])
        self.since_opening += count

    @rule(stream=st.sampled_from(STREAMS), back=st.integers(0, 2), state=st.binary(max_size=20))
    def save_a_snapshot(self, stream: str, back: int, state: bytes) -> None:
        version = max(0, self.version(stream) - back)
        kept = self.snapshots.setdefault(stream, {})
        if version in kept and kept[version].state != state:
            with pytest.raises(ConcurrencyError, match=f"another snapshot of version {version}"):
                self.tape.save_snapshot(stream, version, state)
        else:
            self.tape.save_snapshot(stream, version, state)
            if self.backend.keeps_events:
                kept[version] = Snapshot(version, state)
        assert self.tape.durable_seq == self.tape.last_seq

    @rule(stream=st.sampled_from(STREAMS), upto=st.none() | st.integers(0, 9))
    def load_a_snapshot(self, stream: str, upto: int | None) -> None:
        kept = [version for version in self.snapshots.get(stream, {}) if upto is None or version <= upto]
        expected = self.snapshots[stream][max(kept)] if kept else None
        assert self.tape.load_snapshot(stream, upto) == expected

    def version(self, stream: str) -> int:
        return sum(event.stream == stream for event in self.events)

    @rule()
    def read_without_waiting(self) -> None:
        durable = self.tape.durable_seq
        found = list(self.tape.read())
        ends = [0, *(cascade[-1].seq for cascade in self.cascades)]
        assert found == self.events[: len(found)]
        assert (found[-1].seq if found else 0) in ends
        if self.backend.keeps_events:
            assert (found[-1].seq if found else 0) >= durable

    @rule()
    def append_something_old(self) -> None:
        old = make("trade", "BTCUSDT", seq=self.tape.last_seq)
        if not old.seq and self.backend.keeps_events:
            return  # it would be taken for one made by hand
        with pytest.raises(TapeError):
            self.tape.append([old])

    @rule()
    def open_again(self) -> None:
        self.tape.close()
        self.tape = self.backend.open(self.folder)
        self.since_opening = 0
        if not self.backend.survives:
            self.cascades.clear()
            self.snapshots.clear()

    @invariant()
    def versions_of_streams_are_counts(self) -> None:
        for stream in STREAMS:
            assert self.tape.stream_version(stream) == self.version(stream)

    @invariant()
    def positions_and_counts_are_those_of_the_list(self) -> None:
        statistics = self.tape.statistics()
        last = self.cascades[-1][-1].seq if self.cascades else 0
        assert self.tape.last_seq == last
        assert 0 <= self.tape.durable_seq <= last
        assert statistics.appended == self.since_opening
        assert statistics.appended == statistics.durable + statistics.waiting

    def teardown(self) -> None:
        self.tape.close()
        shutil.rmtree(self.folder)


def machine(backend: Backend) -> type:
    found = type(f"TapeMachine_{backend.name.replace('-', '_')}", (TapeMachine,), {"backend": backend}).TestCase
    found.settings = settings(stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow])
    return found


TestSqliteTape, TestJsonlTape, TestJsonlTapeOfShortSegments, TestNullTape, TestMemory = map(machine, BACKENDS)
