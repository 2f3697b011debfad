"""A live run on Binance's protocol over real sockets: it receives what a reader of the capture reads, and is proven."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import islice
from pathlib import Path

import msgspec
from aiohttp import web
from fake_binance import FakeBinance, Play

from tickdeck.application.clock import LiveClock
from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import LiveRun, open_record, resume_run, start_live_run, verify_run
from tickdeck.bootstrap.feeds import FEEDS
from tickdeck.bootstrap.record import market_of
from tickdeck.domain.events import (
    DomainEvent,
    FeedConnected,
    FeedDisconnected,
    GapDetected,
    OrderBookDeltaEvent,
    OrderBookEvent,
    RunResumed,
    TickEvent,
    TradeEvent,
    VenueInstrumentReported,
)
from tickdeck.infrastructure.config import RunConfig, StrategyConfig
from tickdeck.infrastructure.exchanges.binance.market_feed import BinanceFeed
from tickdeck.infrastructure.exchanges.binance.wire import endpoints_at
from tickdeck.infrastructure.frames import FOLDER
from tickdeck.infrastructure.readers import InputFile, open_input
from tickdeck.infrastructure.venue import RunningVenue, running_venue

STRATEGIES = Path(__file__).resolve().parent / "gate_strategies.py"
MARKET = (TradeEvent, TickEvent, OrderBookEvent, OrderBookDeltaEvent)


def frames_of(shared: Path, count: int) -> tuple[list[bytes], bytes]:
    """The frames of a capture, and the snapshot in it."""
    capture = sorted((shared / "market-data").glob("*.raw*.gz"))[0]
    with gzip.open(capture) as file:
        frames = [line.rstrip(b"\n").partition(b" ")[2] for line in islice(file, count)]
    snapshot = next(frame for frame in frames if b'"lastUpdateId"' in frame)
    return [frame for frame in frames if frame is not snapshot], snapshot


def hear(
    data: Path, play: Play, answer: Callable[[web.Request], bytes | int], done: Callable[[LiveRun], bool]
) -> LiveRun:
    """A live run on the frames that ``play`` sends, until ``done(run)``."""

    async def work() -> LiveRun:
        async with FakeBinance(play, answer).serving() as url:
            run = start_live_run(
                RunConfig(
                    strategies=(StrategyConfig(spec=f"{STRATEGIES}:Busy"),),
                    exchange="binance",
                    exchange_url=url,
                    duration=Decimal(600),
                ),
                data,
            )
            try:
                await run.drive(None, progress=lambda ts: run.driver.request_stop() if done(run) else None)
            finally:
                run.close()
            return run

    return asyncio.run(work())


def content(events: list[DomainEvent]) -> list[tuple[object, ...]]:
    """The content of the events, without receive times."""
    fields = ("price", "quantity", "trade_id", "side", "update_id", "bids", "asks", "last_update_id", "first_update_id")
    return [(type(event), *(getattr(event, field, None) for field in fields)) for event in events]


def market(run: LiveRun) -> list[DomainEvent]:
    return [event for event in open_record(run.folder) if isinstance(event, MARKET) and event.is_input]


async def send_all(connection: web.WebSocketResponse, frames: list[bytes]) -> None:
    for frame in frames:
        await connection.send_str(frame.decode())


def test_a_live_run_receives_what_the_capture_contains_and_is_proven(tmp_path: Path, shared: Path) -> None:
    frames, snapshot = frames_of(shared, 2_000)

    async def play(connection: web.WebSocketResponse, number: int) -> None:
        await send_all(connection, frames)
        await connection.receive()

    run = hear(tmp_path, play, lambda request: snapshot, lambda run: run.driver.market_events >= len(frames) + 2)
    verdict, _ = verify_run(run.folder)
    deltas = [event for event in market(run) if not isinstance(event, OrderBookEvent)]
    read = [
        event
        for event in open_input(InputFile(sorted((shared / "market-data").glob("*.raw*.gz"))[0]))
        if not isinstance(event, OrderBookEvent)
    ][: len(deltas)]

    assert verdict.identical
    assert content(deltas) == content(read)
    assert run.core.market_data.market("BTCUSDT").book.usable

    (segment,) = (run.folder / FOLDER).iterdir()
    assert content(list(open_input(InputFile(segment)))) == content(market(run))


def test_a_run_survives_lost_connections_without_gaps_or_repetitions(tmp_path: Path, shared: Path) -> None:
    frames, snapshot = frames_of(shared, 1_000)
    trades = [frame for frame in frames if b"@trade" in frame]
    by_id = {_id(frame): frame for frame in trades}

    def answer(request: web.Request) -> bytes | int:
        if request.path != "/api/v3/historicalTrades":
            return snapshot
        first, limit = int(request.query["fromId"]), int(request.query["limit"])
        wanted = [by_id[number] for number in range(first, first + limit) if number in by_id]
        return b"[" + b",".join(_as_rest(frame) for frame in wanted) + b"]"

    async def play(connection: web.WebSocketResponse, number: int) -> None:
        begin = (number - 1) * 300  # each connection misses fifty frames
        await send_all(connection, frames[begin + (50 if begin else 0) : begin + 300 if number < 3 else None])
        if number >= 3:
            await connection.receive()

    run = hear(
        tmp_path,
        play,
        answer,
        lambda run: run.core.market_data.market("BTCUSDT").next_trade_id == _id(trades[-1]) + 1,
    )
    events = list(market_of(run.config, run.manifest, run.folder))
    heard = [event.trade_id for event in events if isinstance(event, TradeEvent)]

    assert heard == list(range(_id(trades[0]), _id(trades[-1]) + 1))
    assert len([event for event in events if isinstance(event, FeedDisconnected)]) == 2
    assert len([event for event in events if isinstance(event, FeedConnected)]) == 3
    assert verify_run(run.folder)[0].identical


def _as_rest(frame: bytes) -> bytes:
    data = msgspec.json.decode(frame)["data"]
    row = {"id": data["t"], "price": data["p"], "qty": data["q"], "time": data["T"], "isBuyerMaker": data["m"]}
    return msgspec.json.encode(row)


def _id(frame: bytes) -> int:
    trade_id: int = msgspec.json.decode(frame)["data"]["t"]
    return trade_id


def on_venue(data: Path, work: Callable[[LiveRun, RunningVenue], Awaitable[None]], **settings: object) -> LiveRun:
    """A live run on the venue on localhost until ``work(run, venue)`` is over."""

    async def play() -> LiveRun:
        async with running_venue(("BTCUSDT",)) as venue, asyncio.timeout(300):
            wanted = RunConfig(
                strategies=(StrategyConfig(spec=f"{STRATEGIES}:Busy"),),
                exchange_url=venue.url,
                duration=Decimal(600),
                **{"exchange": "binance", **settings},  # type: ignore[arg-type]
            )
            run = start_live_run(wanted, data)
            try:
                driving = asyncio.ensure_future(run.drive(None))
                await work(run, venue)
                run.driver.request_stop()
                await driving
            finally:
                run.close()
            return run

    return asyncio.run(play())


async def until(happened: Callable[[], object]) -> None:
    while not happened():  # noqa: ASYNC110 (the run has no event for it)
        await asyncio.sleep(0.01)


def _often(config: RunConfig, symbols: tuple[str, ...], clock: LiveClock) -> BinanceFeed:
    assert config.exchange_url is not None
    return BinanceFeed(symbols, endpoints_at(config.exchange_url), instruments_every=100_000_000, clock=clock)


FEEDS["binance-often"] = _often


def test_reports_about_an_instrument_are_inputs_of_the_run_and_are_proven(tmp_path: Path) -> None:
    async def work(run: LiveRun, venue: RunningVenue) -> None:
        published = run.kernel.statistics
        await until(lambda: published().published.get("venue.instrument_reported", 0) == 1)
        venue.faults.set("halt_symbol", "BTCUSDT")
        await until(lambda: run.core.instruments.why_closed("BTCUSDT"))

    run = on_venue(tmp_path, work, exchange="binance-often")
    reported = list(open_record(run.folder, TapeQuery(types=("venue.instrument_*",))))

    assert [event.status for event in reported if isinstance(event, VenueInstrumentReported)] == ["trading", "halt"]
    assert run.core.instruments.instrument("BTCUSDT").tick_size == Decimal("0.01")
    assert verify_run(run.folder)[0].identical


def test_a_crossed_book_gets_a_new_snapshot_at_once(tmp_path: Path, shared: Path) -> None:
    def delta(first: int, bid: str, ask: str) -> bytes:
        data = {"e": "depthUpdate", "E": 1_723_161_600_000, "s": "BTCUSDT", "U": first, "u": first}
        message = {"stream": "btcusdt@depth@100ms", "data": data | {"b": [[bid, "1"]], "a": [[ask, "1"]]}}
        return msgspec.json.encode(message)

    async def play(connection: web.WebSocketResponse, number: int) -> None:
        for message in (delta(11, "100", "102"), delta(12, "106", "107")):  # the second crosses the book
            await connection.send_str(message.decode())
            await asyncio.sleep(0.2)
        await connection.receive()

    asked = 0

    def answer(request: web.Request) -> bytes | int:
        nonlocal asked
        if request.path != "/api/v3/depth":
            return 404
        asked += 1
        return msgspec.json.encode({"lastUpdateId": 10 + asked, "bids": [["99", "1"]], "asks": [["105", "1"]]})

    run = hear(
        tmp_path,
        play,
        answer,
        lambda run: run.kernel.statistics().published.get("market.book_resynced", 0) == 2,
    )
    gaps = [event for event in open_record(run.folder) if isinstance(event, GapDetected)]

    assert asked == 2
    assert [(gap.what, gap.expected, gap.received) for gap in gaps] == [("book", 12, 12)]
    assert run.core.market_data.market("BTCUSDT").book.best_bid() == (Decimal(99), Decimal(1))
    assert verify_run(run.folder)[0].identical


def test_trades_that_were_missed_while_the_run_was_down_are_fetched_before_later_ones(
    tmp_path: Path, shared: Path
) -> None:
    frames, snapshot = frames_of(shared, 1_000)
    trades = [frame for frame in frames if b"@trade" in frame]
    by_id = {_id(frame): frame for frame in trades}
    down = (300, 500)  # the missed frames

    def answer(request: web.Request) -> bytes | int:
        if request.path != "/api/v3/historicalTrades":
            return snapshot
        first, limit = int(request.query["fromId"]), int(request.query["limit"])
        wanted = [by_id[number] for number in range(first, first + limit) if number in by_id]
        return b"[" + b",".join(_as_rest(frame) for frame in wanted) + b"]"

    async def play(connection: web.WebSocketResponse, frames: list[bytes]) -> None:
        await send_all(connection, frames)
        await connection.receive()

    before, after = frames[: down[0]], frames[down[1] :]
    first = [frame for frame in before if b"@trade" in frame]
    run = hear(
        tmp_path,
        lambda connection, _: play(connection, before),
        answer,
        lambda run: run.core.market_data.market("BTCUSDT").next_trade_id == _id(first[-1]) + 1,
    )

    async def again() -> None:
        async with FakeBinance(lambda connection, _: play(connection, after), answer).serving() as url:
            resumed = resume_run(run.folder)
            assert isinstance(resumed, LiveRun)
            resumed._feed._endpoints = endpoints_at(url)  # type: ignore[attr-defined]  # another port
            last = _id(trades[-1]) + 1
            stop = resumed.driver.request_stop
            market_data = resumed.core.market_data
            try:
                await resumed.drive(
                    None, progress=lambda ts: stop() if market_data.market("BTCUSDT").next_trade_id == last else None
                )
            finally:
                resumed.close()

    asyncio.run(again())
    events = list(open_record(run.folder))
    market_events = market_of(run.config, run.manifest, run.folder)

    heard = [event.trade_id for event in market_events if isinstance(event, TradeEvent)]
    assert heard == list(range(_id(trades[0]), _id(trades[-1]) + 1))
    assert sum(isinstance(event, RunResumed) for event in events) == 1
    assert verify_run(run.folder)[0].identical
