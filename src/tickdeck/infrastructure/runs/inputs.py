"""The inputs of a run: files of recorded market data and tapes of other runs, inspected before the run begins."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import cast

import msgspec

from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import CandleEvent, MarketEvent
from tickdeck.domain.market import MarketRecord, Timeframe, with_opens
from tickdeck.errors import InputError, RunError
from tickdeck.infrastructure.config import RunConfig, TapeConfig
from tickdeck.infrastructure.exchanges.binance.decoder import FrameDecoder
from tickdeck.infrastructure.frames import FOLDER, FrameReader
from tickdeck.infrastructure.readers import (
    InputFile,
    NoRowsError,
    ReadNotes,
    a_day_from_now,
    date_to_ns,
    detect_format,
    file_digest,
    in_base_currency,
    merge,
    ns_to_date,
    open_input,
    peek_symbols,
    peek_venues,
)
from tickdeck.infrastructure.runs.folder import MANIFEST, InputRecord, Manifest, read_manifest
from tickdeck.infrastructure.tape.jsonl import is_jsonl_tape
from tickdeck.infrastructure.tape.opening import open_reader, tape_path

__all__ = ["check_inputs", "input_records", "open_inputs", "open_inputs_with_opens", "symbols_of", "unread_venues"]

_ON_TAPE = "tickdeck"
_MAY_HOLD_CANDLES = ("candles", "binance-raw", _ON_TAPE)
_SAME_VENUE = {"binance-spot": "binance", "binance-futures": "binance-usdm"}
"""Venues with different names in different formats."""


def input_records(tapes: tuple[TapeConfig, ...]) -> tuple[InputRecord, ...]:
    """The manifest's records of the inputs. Raises ``InputError`` if one cannot be read or is given twice."""
    latest = a_day_from_now()
    records = tuple(_record(tape, latest) for tape in tapes)
    for (one, this), (other, that) in combinations(zip(tapes, records, strict=True), 2):
        apart = _differ(one.symbol, other.symbol) or _differ(one.venue, other.venue)
        if this.sha256 == that.sha256 and not apart:
            raise InputError(
                f"{other.path} is the same data as {one.path}, so every event would come twice; leave one out"
            )
    return records


def symbols_of(config: RunConfig, inputs: tuple[InputRecord, ...]) -> tuple[str, ...]:
    """The symbols of a run on ``inputs``: the configured ones, or all symbols of the inputs.

    Raises ``InputError`` if no input has a configured symbol, or if inputs have the same symbol from two venues.
    """
    had = [_symbols_and_venue(tape, record) for tape, record in zip(config.tapes, inputs, strict=True)]
    found = tuple(dict.fromkeys(symbol for symbols, _ in had for symbol in symbols))
    for symbol in config.symbols:
        if inputs and symbol not in found:
            raise InputError(f"no input file has market data of {symbol}; they have {', '.join(found) or 'none'}")
    symbols = config.symbols or found
    if inputs and not symbols:
        if all(record.format == _ON_TAPE for record in inputs):
            raise InputError(f"{config.tapes[0].path}: contains no market data; name another tape")
        raise InputError(f"{config.tapes[0].path}: it names no symbol; give the symbol with --symbol")
    for symbol in symbols:
        holders = [
            (tape.path, _SAME_VENUE.get(venue, venue))
            for tape, (of, venue) in zip(config.tapes, had, strict=True)
            if symbol in of and venue is not None
        ]
        for (first, one), (second, other) in combinations(holders, 2):
            if one != other:
                raise InputError(
                    f"{first} is {symbol} of {one}, {second} is {symbol} of {other}: two markets under one symbol, "
                    "which --symbol cannot distinguish; run them separately"
                )
    return symbols


def open_inputs(config: RunConfig, inputs: tuple[InputRecord, ...]) -> Iterator[MarketEvent]:
    """The market data of ``inputs`` as one stream in receive order: see ``open_inputs_with_opens``, without the
    opens."""
    return cast("Iterator[MarketEvent]", _open_all(config, inputs, None, opens=False))


def open_inputs_with_opens(
    config: RunConfig,
    inputs: tuple[InputRecord, ...],
    notes: dict[str, ReadNotes] | None = None,
    timeframes: tuple[Timeframe, ...] = (),
) -> Iterator[MarketRecord]:
    """The market data of ``inputs`` as one stream in receive order, with the opens of candles for a simulated venue.

    ``timeframes`` are those that the run makes from candles: a candle from which one cannot be made raises
    ``InputError``.

    Quantities are in base currency, even if the data counts contracts, provided the instrument gives their size. A
    trade that two files contain appears once. Skipped rows are counted in ``notes`` during reading, by file name.
    """
    return _open_all(config, inputs, notes, opens=True, timeframes=timeframes)


def _open_all(
    config: RunConfig,
    inputs: tuple[InputRecord, ...],
    notes: dict[str, ReadNotes] | None,
    *,
    opens: bool,
    timeframes: tuple[Timeframe, ...] = (),
) -> Iterator[MarketRecord]:
    notes_by_input = [ReadNotes() for _ in inputs]
    if notes is not None:
        notes |= {Path(record.path).name: of for record, of in zip(inputs, notes_by_input, strict=True)}
    streams: list[Iterator[MarketRecord]] = [
        _open(config, tape, record, of, alone=len(inputs) == 1)
        for tape, record, of in zip(config.tapes, inputs, notes_by_input, strict=True)
    ]
    if timeframes:
        streams = [
            _check_candles(cast("Iterator[MarketEvent]", events), Path(record.path), timeframes)
            if record.format in _MAY_HOLD_CANDLES
            else events
            for events, record in zip(streams, inputs, strict=True)
        ]
    if opens:
        streams = [
            with_opens(cast("Iterator[MarketEvent]", events)) if record.format in _MAY_HOLD_CANDLES else events
            for events, record in zip(streams, inputs, strict=True)
        ]
    events = merge(streams, lambda index: notes_by_input[index].skip("trade that another file also contains"))
    sizes = {s: i.contract_size for s, i in config.instruments.items() if i.contract_size != 1}
    if sizes:
        events = in_base_currency(events, sizes)
    wanted = config.symbols
    return (event for event in events if event.symbol in wanted) if wanted else events


def _check_candles(
    events: Iterator[MarketEvent], path: Path, timeframes: tuple[Timeframe, ...]
) -> Iterator[MarketEvent]:
    """``events``, as long as candles of ``timeframes`` can be made from their candles."""
    for event in events:
        if type(event) is CandleEvent:
            for timeframe in timeframes:
                if not timeframe.lasts(event.interval) and event.close_ts > timeframe.bounds(event.open_ts)[1]:
                    raise InputError(
                        f"{path}: candles of {timeframe} cannot be made from the one of {Timeframe(event.interval)} at "
                        f"{ns_to_date(event.open_ts)}, which does not fit into them; ask for a multiple of "
                        "its interval (--candles, or required_candles() of the strategy)"
                    )
        yield event


def unread_venues(config: RunConfig, inputs: tuple[InputRecord, ...]) -> list[str]:
    """Messages about inputs from which only one of several venues is read."""
    messages = []
    for tape, record in zip(config.tapes, inputs, strict=True):
        venues = [] if record.format == _ON_TAPE else peek_venues(_file(tape, record))
        read = tape.venue or (venues[0] if venues else "")
        others = [venue for venue in venues if venue != read]
        if others:
            messages.append(
                f"{Path(tape.path).name}: only {read} is read, not {', '.join(others)}; choose another with --venue"
            )
    return messages


def check_inputs(manifest: Manifest) -> None:
    """Raises ``RunError`` if an input of a run has changed since the run read it."""
    for record in manifest.inputs:
        path = Path(record.path)
        if not path.exists():  # a tape may be a folder
            raise RunError(f"the run's input {path} is gone; restore it to that place")
        if _digest(path, record.format) != record.sha256:
            raise RunError(
                f"the run's input {path} has changed; restore the file that the run read, or start a new run"
            )


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def _record(tape: TapeConfig, latest: int) -> InputRecord:
    given = Path(tape.path)
    if given.exists() and not given.is_file() and not given.is_dir():
        raise InputError(
            f"{given}: pipes are not supported, because resume and verify read a run's inputs again; "
            "save the data in a file"
        )
    path = given.resolve()
    if path.is_dir() and tape_path(path).exists():
        path = tape_path(path)
    if path.suffix == ".db" or is_jsonl_tape(path):
        _refuse_without_market_data(path)
        return InputRecord(path=str(path), format=_ON_TAPE, symbol=None, sha256=_digest(path, _ON_TAPE))
    name = tape.format or detect_format(path)
    return InputRecord(
        path=str(path),
        format=name,
        symbol=tape.symbol,
        sha256=_digest(path, name),
        earliest=date_to_ns(tape.earliest) if tape.earliest is not None else None,
        latest=date_to_ns(tape.latest) if tape.latest is not None else latest,
    )


def _digest(path: Path, name: str) -> str:
    """SHA-256 of an input's content. For a tape it covers the market data, because the bytes of the file depend on what
    is still in the log."""
    if name != _ON_TAPE:
        return file_digest(path)
    digest = hashlib.sha256()
    for event in _market_on_tape(path):
        digest.update(event.to_json())
    return digest.hexdigest()


def _refuse_without_market_data(tape: Path) -> None:
    """The tape of a run on files does not contain their market data, so a reader would find a market without
    activity."""
    if (tape.parent / MANIFEST).is_file():
        inputs = read_manifest(tape.parent).inputs
        if inputs:
            files = ", ".join(record.path for record in inputs)
            raise InputError(
                f"{tape}: the market data is in the files that its run read, not on the tape; give {files}"
            )


def _symbols_and_venue(tape: TapeConfig, record: InputRecord) -> tuple[tuple[str, ...], str | None]:
    """The symbols of an input, and its venue."""
    if record.format == _ON_TAPE:
        found: dict[str, None] = {}
        venue = None
        for event in _market_on_tape(Path(record.path)):
            found[event.symbol] = None
            venue = venue or event.source
        return tuple(found), venue
    file = _file(tape, record)
    venues = peek_venues(file)
    if tape.venue is not None and venues and tape.venue not in venues:
        raise InputError(f"{tape.path}: there is no data of venue {tape.venue}; it has {', '.join(venues)}")
    return tuple(peek_symbols(file)), tape.venue or (venues[0] if venues else None)


def _file(tape: TapeConfig, record: InputRecord) -> InputFile:
    return InputFile(
        Path(record.path), record.format, record.symbol, tape.venue, tape.interval, record.earliest, record.latest
    )


def _open(
    config: RunConfig, tape: TapeConfig, record: InputRecord, notes: ReadNotes, *, alone: bool
) -> Iterator[MarketEvent]:
    if record.format == _ON_TAPE:
        return _market_on_tape(Path(record.path))
    events = open_input(_file(tape, record), feed_latency_ns=config.paper.feed_latency_ns, notes=notes)
    return events if alone else _if_any(events, notes)


def _if_any(events: Iterator[MarketEvent], notes: ReadNotes) -> Iterator[MarketEvent]:
    """One of several files may be of a day without trades."""
    try:
        yield from events
    except NoRowsError:
        notes.warn("no rows in it")


def _frame_decoder(manifest: Manifest) -> FrameDecoder:
    exchange = manifest.config["exchange"]
    if exchange != "binance":
        raise InputError(f"run {manifest.run_id}: the frames of {exchange} cannot be an input; export the run first")
    return FrameDecoder(exchange, manifest.symbols)


def _market_on_tape(path: Path) -> Iterator[MarketEvent]:
    """The market data of another run: of its frames if it was live, else of its tape."""
    manifest = read_manifest(path.parent) if (path.parent / MANIFEST).is_file() else None
    if manifest is not None and manifest.is_live:
        decoder = _frame_decoder(manifest)
        for frame in FrameReader(path.parent / FOLDER, on_gone=lambda gone: None):  # what is left; it begins later
            for found in decoder.decode(frame):
                if found.is_market_data and isinstance(found, MarketEvent):
                    yield found
        return
    with open_reader(path) as tape:
        for event in tape.read(TapeQuery(types=("market.*",))):
            if event.is_market_data and event.is_input and isinstance(event, MarketEvent):
                yield msgspec.structs.replace(event, event_id="", correlation_id="", causation_id="", seq=0)
