"""The contract of every ``TapeReader``, also while the tape is written, rotated and compacted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tickdeck.application.kernel import Kernel
from tickdeck.application.ports import Snapshot, Tape, TapeQuery, TapeReader
from tickdeck.domain.events import (
    CandleEvent,
    DomainEvent,
    OrderAcceptedEvent,
    RawEvent,
    TickEvent,
    encode_payload,
    event_from_json,
)
from tickdeck.domain.events.registry import _registry
from tickdeck.domain.events.upcast import _steps
from tickdeck.errors import ConcurrencyError
from tickdeck.infrastructure.tape import JsonlTape, JsonlTapeReader, SqliteTape, SqliteTapeReader
from tickdeck.infrastructure.tape.records import Record
from tickdeck.infrastructure.tape.tools import check_tape, compact_tape

STREAM = "order/main/o1"
"""Of the first three events; each three that follow have one too."""


@dataclass(frozen=True)
class Form:
    """``write`` and ``read`` open the tape at a path."""

    name: str
    write: Callable[[Path], Tape]
    read: Callable[[Path], TapeReader]


def jsonl(path: Path) -> JsonlTape:
    return JsonlTape(path, linger_ms=1e9, segment_bytes=1_500)  # about four events


FORMS = [
    Form("sqlite", lambda path: SqliteTape(path, linger_ms=1e9), SqliteTapeReader),
    Form("jsonl", jsonl, JsonlTapeReader),
]


@pytest.fixture(params=FORMS, ids=lambda form: form.name)
def form(request: pytest.FixtureRequest) -> Form:
    return request.param


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape"


def make(seq: int) -> DomainEvent:
    return OrderAcceptedEvent(
        order_id=f"o{(seq + 2) // 3}", symbol="BTCUSDT", seq=seq, event_id=str(seq), ts_ingress=seq
    )


def append(tape: Tape, count: int) -> None:
    """Events that are committed one by one. The ``n``-th has seq and time ``n``."""
    for seq in range(tape.last_seq + 1, tape.last_seq + count + 1):
        tape.append([make(seq)])
        tape.wait_durable(seq)


def write(form: Form, path: Path, count: int) -> None:
    tape = form.write(path)
    append(tape, count)
    tape.close()


def seqs(reader: TapeReader, **wanted: Any) -> list[int]:
    return [event.seq for event in reader.read(TapeQuery(**wanted))]


def assert_tells_all(reader: TapeReader, count: int) -> None:
    """Assert that the reader knows all of the events, by every kind of query."""
    assert reader.last_seq == count
    assert reader.stream_version(STREAM) == min(count, 3)
    assert seqs(reader) == list(range(1, count + 1))
    assert seqs(reader, stream=STREAM) == list(range(1, min(count, 3) + 1))
    for first in range(1, count + 1):
        expected = list(range(first, count + 1))
        assert seqs(reader, first_seq=first) == expected
        assert seqs(reader, first_ts=first) == expected
        assert seqs(reader, first_ts=first, last_ts=first) == [first]
        assert seqs(reader, from_id=str(first)) == expected[1:]


def test_a_reader_returns_what_is_on_the_tape(form: Form, path: Path) -> None:
    write(form, path, 11)

    with form.read(path) as reader:
        assert_tells_all(reader, 11)
        assert reader.stream_version("order/main/none") == 0
        assert list(reader.read(TapeQuery(last_seq=1))) == [make(1)]


def test_an_empty_tape_has_nothing(form: Form, path: Path) -> None:
    write(form, path, 0)

    with form.read(path) as reader:
        assert (reader.last_seq, reader.stream_version(STREAM), seqs(reader)) == (0, 0, [])
        assert reader.load_snapshot(STREAM) is None


def test_an_open_reader_sees_appended_events(form: Form, path: Path) -> None:
    tape = form.write(path)
    with form.read(path) as reader:
        for count in range(1, 13):  # over several segments, looked at after each event
            append(tape, 1)
            assert_tells_all(reader, count)
    tape.close()


@pytest.mark.parametrize("known", [1, 2, 3])
def test_an_open_reader_sees_events_in_new_segments(form: Form, path: Path, known: int) -> None:
    tape = form.write(path)
    append(tape, known)
    with form.read(path) as reader:
        assert_tells_all(reader, known)
        append(tape, 12)
        assert_tells_all(reader, known + 12)
    tape.close()


def test_an_open_reader_sees_the_latest_snapshot(form: Form, path: Path) -> None:
    tape = form.write(path)
    append(tape, 2)
    with form.read(path) as reader:
        for version in (1, 2):
            tape.save_snapshot(STREAM, version, b"state %d" % version)
            assert reader.load_snapshot(STREAM) == Snapshot(version, b"state %d" % version)
    tape.close()


def test_a_paused_read_misses_and_repeats_nothing(form: Form, path: Path) -> None:
    tape = form.write(path)
    append(tape, 2)
    with form.read(path) as reader:
        events = reader.read()
        found = [next(events).seq]
        append(tape, 12)
        found += [event.seq for event in events]
        assert len(found) >= 2  # it may have met the end of the tape before
        found += seqs(reader, first_seq=found[-1] + 1)
    tape.close()

    assert found == list(range(1, 15))


def test_an_open_reader_sees_everything_during_compaction(form: Form, path: Path) -> None:
    write(form, path, 2)
    with form.read(path) as reader:
        count = 2
        for _ in range(6):
            write(form, path, 9)
            count += 9
            assert_tells_all(reader, count)
            compact_tape(path, segment_bytes=4_000)
            assert_tells_all(reader, count)


@pytest.mark.parametrize("before", [0, 9], ids=["in the last segment", "in an earlier segment"])
def test_a_paused_read_continues_after_a_compaction(form: Form, path: Path, before: int) -> None:
    write(form, path, 2 + before)
    with form.read(path) as reader:
        events = reader.read()
        found = [next(events).seq]
        write(form, path, 9)
        compact_tape(path)
        found += [event.seq for event in events]
        found += seqs(reader, first_seq=found[-1] + 1)

    assert found == list(range(1, before + 12))


def test_a_read_from_a_position_starts_there_after_a_merge(form: Form, path: Path) -> None:
    write(form, path, 2)
    with form.read(path) as reader:
        assert seqs(reader, first_seq=2) == [2]
        events = reader.read(TapeQuery(first_seq=2))  # its position is searched when it begins
        compact_tape(path)
        write(form, path, 3)

        assert [event.seq for event in events] == [2, 3, 4, 5]


class Renamed(DomainEvent, frozen=True, kw_only=True):
    """Version 1 called its symbol a ticker."""

    event_type: ClassVar[str] = "reader_contract.renamed"
    version: ClassVar[int] = 2
    symbol: str


def test_queries_use_the_stored_fields_also_of_old_versions(
    form: Form, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = ("reader_contract.renamed", 1)
    monkeypatch.setitem(_steps, step, lambda fields: {"symbol": fields["ticker"]})
    old = b'{"event_id":"%d","seq":%d,"ticker":"ABC","symbol":"XYZ"}'
    tape = form.write(path)
    assert isinstance(tape, SqliteTape | JsonlTape)
    tape.append_records([Record(*step, None, None, old % (1, 1), "")])
    tape.append([Renamed(event_id="2", seq=2, symbol="ABC")])
    tape.close()

    with form.read(path) as reader:
        assert seqs(reader, symbol="ABC") == [2]
        assert list(reader.read(TapeQuery(symbol="XYZ"))) == [Renamed(event_id="1", seq=1, symbol="ABC")]


UNKNOWN = Record("reader_contract.unknown", 3, 'news/"1", \u00e9', 1, b'{"event_id":"7","seq":1,"ts":5,"text":"a"}', "")


def test_an_event_of_an_unknown_type_keeps_its_stream_and_gets_new_stamps_when_it_is_published_again(
    form: Form, path: Path, tmp_path: Path
) -> None:
    tape = form.write(path)
    assert isinstance(tape, SqliteTape | JsonlTape)
    tape.append_records([UNKNOWN])
    tape.close()
    with form.read(path) as reader:
        (read,) = reader.read()
    assert isinstance(read, RawEvent)
    assert read.stream == UNKNOWN.stream

    with form.write(tmp_path / "copy") as copy:
        kernel = Kernel(tape=copy)
        kernel.feed(make(1))
        kernel.feed(read)
        copy.wait_durable(2)
    with form.read(tmp_path / "copy") as reader:
        (again,) = reader.read(TapeQuery(stream=UNKNOWN.stream))
        assert reader.stream_version('news/"1", \u00e9') == 1
        (record,) = reader.records(after=1)

    assert isinstance(again, RawEvent)
    assert (again.raw_type, again.raw_version, again.payload) == (UNKNOWN.type, 3, {"text": "a"})
    assert (again.event_id, again.seq, again.ts, again.correlation_id) == ("2", 2, 5, "2")
    assert (record.stream, record.stream_version) == (UNKNOWN.stream, 1)


CONTEXTS = {
    "small e": Context(capitals=0),
    "one digit": Context(prec=1, Emin=-1, Emax=1, clamp=1),
    "all traps": Context(traps=[*Context().flags]),
    "no traps": Context(traps=[]),
}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_bytes_are_the_same_under_any_decimal_context(form: Form, path: Path, tmp_path: Path, context: Context) -> None:
    def write(at: Path) -> list[Record]:
        with form.write(at) as tape:
            for seq, amount in enumerate(("1E+30", "1.50", "0E-9", "123456789012345678901234567890.123"), 1):
                bid, ask, one = Decimal(amount), Decimal("1E+31"), Decimal("1E+3")
                tick = TickEvent(symbol="X", bid_price=bid, ask_price=ask, bid_quantity=one, ask_quantity=one, seq=seq)
                assert event_from_json(tick.to_json()) == tick
                assert tick.to_dict()["ask_price"] == "1E+31"
                tape.append([tick])
            prices = {
                "open": Decimal("2E+3"),
                "high": Decimal("2E+3"),
                "low": Decimal("1E+3"),
                "close": Decimal("1E+3"),
            }
            tape.append(
                [CandleEvent(symbol="X", interval=1, open_ts=0, close_ts=1, volume=Decimal("1E+3"), seq=5, **prices)]
            )
            tape.wait_durable(5)
        with form.read(at) as reader:
            assert len(list(reader.read())) == 5
            return list(reader.records())

    usual = write(path)
    with localcontext(context):
        assert write(tmp_path / "other") == usual


class MovedEvent(DomainEvent, frozen=True, kw_only=True):
    """In version 1 all events were in the stream ``news``. Now each language has one."""

    event_type: ClassVar[str] = "reader_contract.moved"
    version: ClassVar[int] = 2
    language: str
    text: str = ""

    @property
    def stream(self) -> str:
        return f"news/{self.language}"


MOVED = ("reader_contract.moved", 1)
GERMAN, FRENCH = "news/de", "news/fr"


@pytest.fixture
def moved(form: Form, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tape with three events of version 1: two in German, then one in French."""
    monkeypatch.setitem(_steps, MOVED, lambda fields: {"language": fields["lang"]})
    tape = form.write(path)
    assert isinstance(tape, SqliteTape | JsonlTape)
    for seq, language in enumerate(("de", "de", "fr"), 1):
        payload = b'{"event_id":"%d","seq":%d,"ts_ingress":%d,"lang":"%b"}' % (seq, seq, seq, language.encode())
        tape.append_records([Record(*MOVED, "news", seq, payload, "")])
    tape.close()
    return path


def news(seq: int, language: str) -> MovedEvent:
    return MovedEvent(seq=seq, event_id=str(seq), ts_ingress=seq, language=language)


def test_a_stream_with_a_changed_key_continues_after_its_old_events(form: Form, moved: Path) -> None:
    with form.read(moved) as reader:
        assert [reader.stream_version(key) for key in ("news", GERMAN, FRENCH, "news/it")] == [3, 2, 3, 0]
    with form.write(moved) as tape:
        assert [tape.stream_version(key) for key in ("news", GERMAN, FRENCH, "news/it")] == [3, 2, 3, 0]
        with pytest.raises(ConcurrencyError, match="version 2, not the expected 0"):
            tape.append([news(4, "de")], expected_version=0)
        tape.append([news(4, "de")], expected_version=2)
        tape.append([news(5, "it")], expected_version=0)
        tape.append([news(6, "fr"), news(7, "de")])
        tape.wait_durable(7)
        assert [event.seq for event in tape.read(TapeQuery(stream=GERMAN))] == [1, 2, 4, 7]
    with form.write(moved) as tape:  # opened again
        tape.append([news(8, "de")], expected_version=4)
        tape.wait_durable(8)

    with form.read(moved) as reader:
        assert seqs(reader, stream=GERMAN) == [1, 2, 4, 7, 8]
        assert seqs(reader, stream=FRENCH) == [3, 6]
        assert seqs(reader, stream=FRENCH, first_seq=4) == [6]
        assert seqs(reader, stream=GERMAN, limit=3) == [1, 2, 4]
        assert seqs(reader, stream=FRENCH, limit=1) == [3]
        assert seqs(reader, stream="news") == [1, 2, 3]
        assert seqs(reader, stream="news/it") == [5]
        assert reader.stream_version(GERMAN) == 5
    assert check_tape(moved).ok


def test_a_tape_with_moved_streams_of_unknown_types_is_not_reported_as_damaged(
    form: Form, moved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with form.write(moved) as tape:
        tape.append([news(4, "de")])
        tape.append([news(5, "it")])
        tape.wait_durable(5)
    monkeypatch.delitem(_registry, MOVED[0])

    report = check_tape(moved)

    assert report.ok, report.problems
    assert report.streams == 3


def test_a_version_that_is_missing_from_a_moved_stream_is_reported(form: Form, moved: Path) -> None:
    tape = form.write(moved)
    assert isinstance(tape, SqliteTape | JsonlTape)
    with tape:
        payload = encode_payload(news(4, "de"))
        tape.append_records([Record(MOVED[0], 2, GERMAN, 4, payload, "")])

    (problem,) = check_tape(moved).problems

    assert "has version 4 of stream 'news/de', not 3" in problem.what
