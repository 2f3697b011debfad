"""Benchmarks of other libraries. `tickdeck bench` runs them if they are installed (`make bench PEERS=1`).

Each function sets up its library and returns a session. One call of a session is one repetition and returns `{"value":
per second}`. They do the same as `tickdeck.interfaces.bench.bus` and its neighbours, in the way that each library's
documentation recommends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec

from tickdeck.interfaces.bench.bus import make_handlers
from tickdeck.interfaces.bench.frames import messages
from tickdeck.interfaces.bench.samples import prints, ticks
from tickdeck.interfaces.bench.session import Session, rate, timed


def _publications(handlers: int, count: int, publish: Callable[[Any], object]) -> Session:
    """Deliveries per second of `count` publications of the sample ticks."""
    events = list(ticks(min(count, 1_000)))
    rounds = max(count // len(events), 1)

    def work() -> None:
        for _ in range(rounds):
            for event in events:
                publish(event)

    return lambda: {"value": rate(rounds * len(events) * handlers, work)}


def nautilus_bus(*, handlers: int, count: int) -> Session:
    from nautilus_trader.common.component import MessageBus, TestClock
    from nautilus_trader.model.identifiers import TraderId

    bus = MessageBus(TraderId("BENCH-001"), TestClock())
    topic = "data.quotes.BINANCE.BTCUSDT"
    for handler in make_handlers(handlers):
        bus.subscribe(topic, handler)
    return _publications(handlers, count, partial(bus.publish, topic))


def pyee_bus(*, handlers: int, count: int) -> Session:
    from pyee import EventEmitter

    emitter = EventEmitter()
    for handler in make_handlers(handlers):
        emitter.on("tick", handler)
    return _publications(handlers, count, partial(emitter.emit, "tick"))


def blinker_bus(*, handlers: int, count: int) -> Session:
    from blinker import Signal

    signal = Signal()
    kept = make_handlers(handlers)  # the signal's references are weak
    for handler in kept:
        signal.connect(handler)
    session = _publications(handlers, count, signal.send)

    def repetition() -> dict[str, float]:
        assert len(kept) == len(signal.receivers)
        return session()

    return repetition


def vnpy_bus(*, handlers: int, count: int) -> Session:
    """Measures from the first `put` until the engine's thread has handled the last event."""
    from vnpy_evo.event import Event, EventEngine

    engine = EventEngine()
    done = threading.Event()
    left = [0]

    def last(event: object) -> None:
        left[0] -= 1
        if not left[0]:
            done.set()

    for handler in [*make_handlers(handlers - 1), last]:
        engine.register("tick", handler)
    for thread in (engine._thread, engine._timer):
        thread.daemon = True  # it need not be stopped
    engine.start()
    events = list(ticks(min(count, 1_000)))
    rounds = max(count // len(events), 1)

    def work() -> None:
        left[0] = rounds * len(events)
        done.clear()
        put = engine.put
        for _ in range(rounds):
            for event in events:
                put(Event("tick", event))
        done.wait()

    return lambda: {"value": rate(rounds * len(events) * handlers, work)}


def bubus_bus(*, handlers: int, count: int) -> Session:
    """Does not call `stop()`, which may hang, because the process ends anyway."""
    from bubus import BaseEvent, InMemoryEventBus

    class TickSeen(BaseEvent):
        price: Decimal

    async def publish_all() -> float:
        bus = InMemoryEventBus()
        for number, handler in enumerate(make_handlers(handlers)):
            handler.__name__ = f"handler_{number}"  # it distinguishes them by name
            bus.on(TickSeen, handler)
        with timed() as seconds:
            for _ in range(count):
                await bus.dispatch(TickSeen(price=Decimal("60000.01")))
        return count * handlers / seconds()

    loop = asyncio.new_event_loop()
    return lambda: {"value": loop.run_until_complete(publish_all())}


def eventsourcing_read(*, count: int, folder: str) -> Session:
    """Reads the events of one aggregate from SQLite. Uses msgspec, which is faster than the library's own
    transcoder."""
    from eventsourcing.persistence import EventStore, Mapper, StoredEvent
    from eventsourcing.sqlite import SQLiteAggregateRecorder, SQLiteDatastore

    class TradeSeen(msgspec.Struct, frozen=True):
        originator_id: UUID
        originator_version: int
        timestamp: datetime
        symbol: str
        price: Decimal
        quantity: Decimal
        side: str
        trade_id: int

    encode, decode = msgspec.json.encode, msgspec.json.Decoder(TradeSeen).decode

    class MsgspecMapper(Mapper):
        """Copied from the library's example of msgspec events."""

        def __init__(self) -> None:
            super().__init__(transcoder=None)

        def to_stored_event(self, domain_event: TradeSeen) -> StoredEvent:
            return StoredEvent(
                originator_id=domain_event.originator_id,
                originator_version=domain_event.originator_version,
                topic="trade",
                state=encode(domain_event),
            )

        def to_domain_event(self, stored_event: StoredEvent) -> TradeSeen:
            return decode(stored_event.state)

    recorder = SQLiteAggregateRecorder(SQLiteDatastore(str(Path(folder) / "events.db")))
    recorder.create_table()
    store = EventStore(mapper=MsgspecMapper(), recorder=recorder)
    aggregate, now = uuid4(), datetime(2024, 1, 1, tzinfo=UTC)
    store.put(
        [
            TradeSeen(
                aggregate,
                p.number,
                now,
                "BTCUSDT",
                Decimal(p.price).scaleb(-2),
                Decimal(p.quantity).scaleb(-5),
                "buy",
                p.number,
            )
            for p in prints(count)
        ]
    )

    def read() -> None:
        assert sum(1 for _ in store.get(aggregate)) == count

    return lambda: {"value": rate(count, read)}


def nautilus_backtest(*, count: int) -> Session:
    """The same backtest as `tickdeck.interfaces.bench.strategy`, with equal trades."""
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.model.currencies import BTC, USDT
    from nautilus_trader.model.data import TradeTick
    from nautilus_trader.model.enums import AccountType, AggressorSide, OmsType, OrderSide
    from nautilus_trader.model.identifiers import TradeId, Venue
    from nautilus_trader.model.objects import Money, Price, Quantity
    from nautilus_trader.test_kit.providers import TestInstrumentProvider
    from nautilus_trader.trading.strategy import Strategy

    instrument = TestInstrumentProvider.btcusdt_binance()  # fees of 0.1 %, prices of 2 and quantities of 6 digits

    class TickEmaCross(Strategy):
        def on_start(self) -> None:
            self.seen = self.fills = 0
            self.fast = self.slow = 0.0
            self.above: bool | None = None
            self.subscribe_trade_ticks(instrument.id)

        def on_trade_tick(self, tick: TradeTick) -> None:
            price = tick.price.as_double()
            if not self.seen:
                self.fast = self.slow = price
            self.seen += 1
            self.fast += 0.10 * (price - self.fast)
            self.slow += 0.01 * (price - self.slow)
            if self.seen % 50 == 0:
                above = self.fast > self.slow
                if self.above is not None and above is not self.above:
                    self.turn(above)
                self.above = above

        def turn(self, above: bool) -> None:
            if above or self.portfolio.is_net_long(instrument.id):
                order = self.order_factory.market(
                    instrument_id=instrument.id,
                    order_side=OrderSide.BUY if above else OrderSide.SELL,
                    quantity=instrument.make_qty(0.01),
                )
                self.submit_order(order)

        def on_order_filled(self, event: object) -> None:
            self.fills += 1

    data = [
        TradeTick(
            instrument.id,
            Price(p.price / 100, 2),
            Quantity(p.quantity / 100_000, 6),
            AggressorSide.SELLER if p.buyer_is_maker else AggressorSide.BUYER,
            TradeId(str(p.number)),
            p.time * 1_000_000,
            p.time * 1_000_000,
        )
        for p in prints(count)
    ]

    def session() -> dict[str, float]:
        engine = BacktestEngine(config=BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
        engine.add_venue(
            venue=Venue("BINANCE"),
            oms_type=OmsType.NETTING,
            account_type=AccountType.CASH,
            starting_balances=[Money(100_000, USDT), Money(0, BTC)],
            trade_execution=True,
        )
        engine.add_instrument(instrument)
        engine.add_data(data)
        strategy = TickEmaCross()
        engine.add_strategy(strategy)
        with timed() as seconds:
            engine.run()
        figures = {"value": count / seconds(), "orders": len(engine.cache.orders()), "fills": strategy.fills}
        engine.dispose()
        return figures

    return session


def cryptofeed_frames(*, kind: str, count: int) -> Session:
    """Frames through the feed's own handler, to a callback."""
    from cryptofeed.defines import L2_BOOK, TICKER, TRADES
    from cryptofeed.exchanges import Binance
    from cryptofeed.symbols import Symbols
    from cryptofeed.types import OrderBook

    Symbols.set(Binance.id, {"BTC-USDT": "BTCUSDT"}, {"instrument_type": {"BTC-USDT": "spot"}})  # else it asks Binance
    channel = {"bookTicker": TICKER, "trade": TRADES, "depth": L2_BOOK}[kind]
    received = []

    async def callback(event: Any, receipt_timestamp: float) -> None:
        received.append(event)

    feed = Binance(symbols=["BTC-USDT"], channels=[channel], callbacks={channel: callback})
    texts = [data.decode() for data in messages("aggTrade" if kind == "trade" else kind, count)]

    async def work() -> None:
        feed._l2_book = {"BTC-USDT": OrderBook(Binance.id, "BTC-USDT", max_depth=1_000)}
        feed._l2_book["BTC-USDT"].book.bids = {Decimal(1): Decimal(1)}
        feed._l2_book["BTC-USDT"].book.asks = {Decimal(10**9): Decimal(1)}
        feed.last_update_id = {"BTC-USDT": 0}
        feed.forced = {"BTC-USDT": True}
        received.clear()
        for text in texts:
            await feed.message_handler(text, None, 1.0)

    def repetition() -> dict[str, float]:
        value = rate(count, lambda: asyncio.run(work()))
        assert len(received) == count, f"{len(received)} of {count} arrived"
        return {"value": value}

    return repetition


def ccxt_frames(*, kind: str, count: int) -> Session:
    """Frames as its client passes them on: parsed, then to the exchange's handler."""
    import ccxt.pro
    from ccxt.async_support.base.ws.client import json_parser  # orjson where it is installed

    class Client:
        """The parts of its WebSocket client that the handlers use."""

        url = "wss://stream.binance.com:9443/stream"
        subscriptions: dict[str, Any] = {}
        futures: dict[str, Any] = {}
        resolved = 0

        def resolve(self, result: Any, message_hash: str) -> None:
            self.resolved += 1

        def reject(self, error: Exception, message_hash: str = "") -> None:
            raise error

    exchange = ccxt.pro.binance()
    fields = {"id": "BTCUSDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "type": "spot", "spot": True}
    exchange.set_markets([exchange.safe_market_structure(fields | {"swap": False, "future": False, "option": False})])
    texts = [data.decode() for data in messages(kind, count)]

    def repetition() -> dict[str, float]:
        client = Client()
        book = exchange.order_book({"bids": [[1, 1]], "asks": [[10**9, 1]], "nonce": 0}, 1_000)
        exchange.orderbooks = {"BTC/USDT": book}

        def work() -> None:
            for text in texts:
                exchange.handle_message(client, json_parser.loads(text))

        value = rate(count, work)
        assert client.resolved >= count, f"{client.resolved} of {count} arrived"
        return {"value": value}

    return repetition
