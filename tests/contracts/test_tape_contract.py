"""What every ``Tape`` promises, written once. A tape that keeps nothing declares it, and is held to that."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from tickdeck.application.ports import Snapshot, Tape, TapeQuery
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
from tickdeck.infrastructure.tape import JsonlTape, NullTape, SqliteTape

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Backend:
    """One implementation: how to open it on a folder, and what it declares."""

    name: str
    open: Callable[[Path], Tape]
    keeps_events: bool


BACKENDS = [
    Backend("sqlite", lambda folder: SqliteTape(folder / "tape.sqlite"), SqliteTape.keeps_events),
    Backend("jsonl", lambda folder: JsonlTape(folder / "tape"), JsonlTape.keeps_events),
    Backend("jsonl-short", lambda folder: JsonlTape(folder / "tape", segment_bytes=2_000), JsonlTape.keeps_events),
    Backend("null", lambda folder: NullTape(), NullTape.keeps_events),
]


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param


@pytest.fixture
def tape(backend: Backend, tmp_path: Path) -> Iterator[Tape]:
    opened = backend.open(tmp_path)
    yield opened
    opened.close()


# -- events as the kernel stamps them ---------------------------------------------------------------------------------

ROOTS = ("trade", "command", "timer")
CHILDREN = ("candle", "signal", "order", "position")
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def make(kind: str, symbol: str, **envelope: object) -> DomainEvent:
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
    return PositionOpenedEvent(symbol=symbol, quantity=Decimal(1), average_price=Decimal(2), **envelope)


def make_cascade(
    root: str, children: tuple[str, ...], symbol: str, *, number: int, seq: int, ts: int, correlation_id: str = ""
) -> list[DomainEvent]:
    """The ``number``-th input of a run and what it caused, stamped; ``seq`` is the root's."""
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


def select(events: list[DomainEvent], query: TapeQuery) -> list[DomainEvent]:
    """What a tape that holds ``events`` must answer."""
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


# -- appending and waiting ------------------------------------------------------------------------------------------


def test_an_empty_tape_is_at_position_zero(tape: Tape) -> None:
    assert (tape.last_seq, tape.durable_seq) == (0, 0)
    assert list(tape.read()) == []


def test_append_moves_the_position_and_waiting_makes_it_durable(tape: Tape) -> None:
    tape.append(make_cascade("trade", ("candle", "signal"), "BTCUSDT", number=1, seq=1, ts=1))

    tape.wait_durable(3)

    assert (tape.last_seq, tape.durable_seq) == (3, 3)


def test_waiting_in_a_coroutine_makes_it_durable(tape: Tape) -> None:
    async def wait_for_all() -> None:
        for cascade in trades(20):
            tape.append(cascade)
        await asyncio.gather(*(tape.wait_durable_async(seq) for seq in range(1, 21)))

    asyncio.run(wait_for_all())

    assert tape.durable_seq == 20


def test_waiting_for_a_hole_after_the_last_event_returns_when_all_is_durable(tape: Tape) -> None:
    tape.append(trades(1)[0])

    tape.wait_durable(10)
    asyncio.run(tape.wait_durable_async(10))

    assert tape.durable_seq == 1


def test_a_seq_that_does_not_increase_is_refused_and_nothing_of_its_cascade_counts(
    tape: Tape, backend: Backend
) -> None:
    first, second = make_cascade("trade", ("order",), "BTCUSDT", number=1, seq=7, ts=1)
    tape.append([first, second])

    for bad in ([first], [second], [trades(1, 9)[0][0], second]):
        with pytest.raises(TapeError, match="seq must increase"):
            tape.append(bad)

    tape.wait_durable(8)
    assert tape.last_seq == 8
    assert list(tape.read()) == ([first, second] if backend.keeps_events else [])


def test_an_event_that_was_never_stamped_is_refused(tape: Tape) -> None:
    with pytest.raises(TapeError, match="seq 0 after seq 0"):
        tape.append([make("trade", "BTCUSDT")])


def test_an_empty_cascade_is_harmless(tape: Tape) -> None:
    tape.append([])

    assert tape.statistics().appended == 0


def test_statistics_count_events_since_opening(tape: Tape) -> None:
    for cascade in trades(5):
        tape.append(cascade)
    tape.wait_durable(5)

    statistics = tape.statistics()

    assert (statistics.appended, statistics.durable, statistics.waiting) == (5, 5, 0)
    assert 1 <= statistics.commits <= 5


def test_closing_twice_is_harmless_and_a_closed_tape_takes_nothing(backend: Backend, tmp_path: Path) -> None:
    tape = backend.open(tmp_path)
    tape.append(trades(1)[0])

    tape.close()
    tape.close()

    assert tape.durable_seq == 1
    tape.wait_durable(1)
    with pytest.raises(TapeError, match="closed"):
        tape.append(trades(1, 2)[0])


def test_a_tape_opened_again_goes_on_where_it_was_if_it_keeps_events(backend: Backend, tmp_path: Path) -> None:
    tape = backend.open(tmp_path)
    tape.append(trades(1, 5)[0])
    tape.close()

    again = backend.open(tmp_path)

    assert (again.last_seq, again.durable_seq) == ((5, 5) if backend.keeps_events else (0, 0))
    assert again.statistics().appended == 0
    again.close()


# -- reading ----------------------------------------------------------------------------------------------------------


def test_events_are_read_back_as_they_were_in_order(tape: Tape, backend: Backend) -> None:
    events: list[DomainEvent] = []
    for number, (root, child) in enumerate(((root, child) for root in ROOTS for child in CHILDREN), start=1):
        cascade = make_cascade(root, (child,), "BTCUSDT", number=number, seq=len(events) + 1, ts=number)
        tape.append(cascade)
        events += cascade
    tape.wait_durable(len(events))

    found = list(tape.read())

    assert found == (events if backend.keeps_events else [])
    assert [type(event) for event in found] == [type(event) for event in events][: len(found)]


def test_an_event_of_an_unknown_type_is_kept_raw(tape: Tape, backend: Backend) -> None:
    stranger = RawEvent(
        raw_type="news_of_the_contract.published",
        raw_version=3,
        raw={"event_id": "1", "seq": 1, "symbol": "BTCUSDT", "headline": "é"},
        event_id="1",
        seq=1,
    )
    tape.append([stranger])
    tape.wait_durable(1)

    found = list(tape.read(TapeQuery(types=("news_of_*",), symbol="BTCUSDT")))

    assert found == ([stranger] if backend.keeps_events else [])


def test_a_clock_that_jumps_back_hides_no_event(tape: Tape, backend: Backend) -> None:
    events = [make("trade", "BTCUSDT", seq=seq, ts_ingress=ts) for seq, ts in enumerate((50, 60, 10, 55, 70), start=1)]
    for event in events:
        tape.append([event])
    tape.wait_durable(5)

    found = [event.seq for event in tape.read(TapeQuery(first_ts=50, last_ts=60))]

    assert found == ([1, 2, 4] if backend.keeps_events else [])


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
def test_a_query_that_nothing_matches_gives_nothing(tape: Tape, query: TapeQuery) -> None:
    for cascade in trades(3):
        tape.append(cascade)
    tape.wait_durable(3)

    assert list(tape.read(query)) == []


def test_bounds_beyond_64_bits_do_not_restrict(tape: Tape, backend: Backend) -> None:
    tape.append(trades(1)[0])
    tape.wait_durable(1)

    found = list(
        tape.read(TapeQuery(first_ts=-(1 << 70), last_ts=1 << 70, first_seq=-5, last_seq=1 << 70, limit=1 << 70))
    )

    assert len(found) == backend.keeps_events


def test_reading_goes_on_after_an_event_id(tape: Tape, backend: Backend) -> None:
    for number, seq in ((2, 1), (5, 4), (7, 8)):
        tape.append(make_cascade("trade", ("candle", "order"), "BTCUSDT", number=number, seq=seq, ts=seq))
    tape.wait_durable(10)
    if not backend.keeps_events:
        return

    assert [event.event_id for event in tape.read(TapeQuery(from_id="5"))] == ["5-1", "5-2", "7", "7-1", "7-2"]
    assert [event.event_id for event in tape.read(TapeQuery(from_id="5-2", limit=1))] == ["7"]
    assert [event.event_id for event in tape.read(TapeQuery(from_id="2", types=("order.*",)))] == ["2-2", "5-2", "7-2"]
    assert list(tape.read(TapeQuery(from_id="7-2"))) == []


@pytest.mark.parametrize("ids", [("b", "a", "c"), ("9", "3", "5"), ("", "x-1", "7")], ids=str)
def test_ids_that_no_kernel_gave_are_found_too(tape: Tape, backend: Backend, ids: tuple[str, ...]) -> None:
    for seq, event_id in enumerate(ids, start=1):
        tape.append([make("trade", "BTCUSDT", seq=seq, event_id=event_id)])
    tape.wait_durable(3)
    if not backend.keeps_events:
        return

    for seq, event_id in enumerate(ids, start=1):
        assert [event.seq for event in tape.read(TapeQuery(from_id=event_id))] == list(range(seq + 1, 4))


@pytest.mark.parametrize("missing", ["3", "1-9", "none", "9" * 30, 'with "quotes"'])
def test_reading_from_an_id_that_is_not_there_is_one_clear_line(tape: Tape, backend: Backend, missing: str) -> None:
    tape.append(make_cascade("trade", ("order",), "BTCUSDT", number=1, seq=1, ts=1))
    tape.wait_durable(2)
    if not backend.keeps_events:
        return

    with pytest.raises(TapeError, match="there is no event") as caught:
        list(tape.read(TapeQuery(from_id=missing)))
    assert repr(missing) in str(caught.value)


# -- streams and snapshots --------------------------------------------------------------------------------------------

ORDER = "order/main/o-BTCUSDT"


def orders(*seqs: int) -> list[DomainEvent]:
    return [make("order", "BTCUSDT", seq=seq, event_id=str(seq)) for seq in seqs]


def test_an_append_at_the_expected_version_is_taken_and_any_other_refused(tape: Tape, backend: Backend) -> None:
    tape.append(orders(1, 2), expected_version=0)

    for wrong in (1, 3, 17):
        with pytest.raises(ConcurrencyError, match=rf"version {2 if backend.keeps_events else 0}, not the expected"):
            tape.append(orders(3), expected_version=wrong)
    tape.append(orders(3), expected_version=2 if backend.keeps_events else 0)

    tape.wait_durable(3)
    assert tape.last_seq == 3
    assert [event.seq for event in tape.read(TapeQuery(stream=ORDER))] == ([1, 2, 3] if backend.keeps_events else [])
    assert tape.stream_version(ORDER) == (3 if backend.keeps_events else 0)


def test_versions_are_expected_of_one_stream_alone(tape: Tape, backend: Backend) -> None:
    mixed = [*orders(1), make("order", "ETHUSDT", seq=2)]
    without = [make("trade", "BTCUSDT", seq=1)]
    if not backend.keeps_events:
        return

    for events in (mixed, without, [*orders(1), make("trade", "BTCUSDT", seq=2)]):
        with pytest.raises(TapeError, match="events of one stream"):
            tape.append(events, expected_version=0)

    assert tape.last_seq == 0


def test_versions_of_streams_are_known_after_reopening(backend: Backend, tmp_path: Path) -> None:
    for seqs in ((1, 2), (3,)):
        tape = backend.open(tmp_path)
        tape.append(orders(*seqs))
        tape.close()

    again = backend.open(tmp_path)

    assert again.stream_version(ORDER) == (3 if backend.keeps_events else 0)
    assert again.stream_version("order/main/none") == 0
    again.close()


def test_the_snapshot_that_was_saved_last_is_kept_and_makes_its_events_durable(
    backend: Backend, tmp_path: Path
) -> None:
    tape = backend.open(tmp_path)
    if not backend.keeps_events:
        tape.save_snapshot(ORDER, 0, b"forgotten")
        assert tape.load_snapshot(ORDER) is None
        tape.close()
        return
    tape.append(orders(1, 2, 3))
    assert tape.load_snapshot(ORDER) is None

    tape.save_snapshot(ORDER, 2, b"first \x00\xff")
    assert tape.durable_seq == 3
    assert tape.load_snapshot(ORDER) == Snapshot(2, b"first \x00\xff")
    tape.save_snapshot(ORDER, 3, b"second")
    tape.save_snapshot("position/main/é 'x'", 0, b"")
    tape.close()

    again = backend.open(tmp_path)
    assert again.load_snapshot(ORDER) == Snapshot(3, b"second")
    assert again.load_snapshot("position/main/é 'x'") == Snapshot(0, b"")
    again.close()


def test_a_snapshot_of_events_that_are_not_there_is_refused(tape: Tape, backend: Backend) -> None:
    if not backend.keeps_events:
        return
    tape.append(orders(1))

    for version in (2, -1):
        with pytest.raises(ConcurrencyError, match=rf"at version {version}, but the stream has 1 events"):
            tape.save_snapshot(ORDER, version, b"")

    assert tape.load_snapshot(ORDER) is None


def test_a_closed_tape_keeps_no_snapshot(backend: Backend, tmp_path: Path) -> None:
    tape = backend.open(tmp_path)
    tape.close()
    if backend.keeps_events:
        with pytest.raises(TapeError, match="closed"):
            tape.save_snapshot(ORDER, 0, b"")


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
    """Cascades as a kernel makes them go to a tape and to a list; whatever is asked, both must answer the same."""

    backend: ClassVar[Backend]
    stories = Bundle("stories")

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.tape = self.backend.open(self.folder)
        self.cascades: list[list[DomainEvent]] = []
        self.snapshots: dict[str, Snapshot] = {}
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
        self.tape.save_snapshot(stream, version, state)
        assert self.tape.durable_seq == self.tape.last_seq
        if self.backend.keeps_events:
            self.snapshots[stream] = Snapshot(version, state)

    @rule(stream=st.sampled_from(STREAMS))
    def load_a_snapshot(self, stream: str) -> None:
        assert self.tape.load_snapshot(stream) == self.snapshots.get(stream)

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
        with pytest.raises(TapeError):
            self.tape.append([old])

    @rule()
    def open_again(self) -> None:
        self.tape.close()
        self.tape = self.backend.open(self.folder)
        self.since_opening = 0
        if not self.backend.keeps_events:
            self.cascades.clear()

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


TestSqliteTape, TestJsonlTape, TestJsonlTapeOfShortSegments, TestNullTape = map(machine, BACKENDS)
