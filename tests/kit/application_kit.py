"""Helpers for the tests of the application layer: short ways to create events, a tape and a venue that the test
controls, and a whole core."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import ClassVar

from tickdeck.application.bus import Subscription
from tickdeck.application.engines import (
    AccountEngines,
    BracketEngine,
    CandlePlan,
    ConditionValues,
    ExecutionEngine,
    FeedMonitor,
    HeartbeatEngine,
    InstrumentEngine,
    MarketDataEngine,
    OperatorEngine,
    PortfolioEngine,
    RiskEngine,
    SignalEngine,
    StopOrders,
    StrategyEngine,
    StrategyProfits,
    TriggerEngine,
    TriggerWish,
    VenueGateway,
    timeframes_of,
    with_timeframe,
)
from tickdeck.application.engines.protections import ALL_STOP_ORDERS
from tickdeck.application.kernel import Agenda, Kernel
from tickdeck.application.ports import Amendment, TapeQuery, TapeStatistics
from tickdeck.application.signals import Signal
from tickdeck.application.strategies import Rules, Strategy, asks_for_profits
from tickdeck.domain.accounts import Account, Rates
from tickdeck.domain.conditions import parse_condition
from tickdeck.domain.events import (
    DomainEvent,
    OrderAmendRequestedEvent,
    OrderCancelRequestedEvent,
    OrderSubmittedEvent,
    RunStarted,
    RunStopped,
    TickEvent,
    TradeEvent,
    VenueBalanceReported,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.market import Instrument, Timeframe
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus, Side

D = Decimal
BTC = "BTCUSDT"
MS = 1_000_000
SECOND = 1_000_000_000
START = 1_723_161_600 * SECOND  # 2024-08-09T00:00:00Z


class Ping(DomainEvent, frozen=True, kw_only=True):
    """An event of a type that only the tests have."""

    event_type: ClassVar[str] = "test.ping"
    n: int = 0


class LoudPing(Ping, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "test.ping.loud"


class Pong(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "test.pong"
    n: int = 0


def trade(
    price: str,
    quantity: str = "1",
    *,
    ts: int = START,
    symbol: str = BTC,
    trade_id: int | str = 0,
    source: str = "feed",
) -> TradeEvent:
    return TradeEvent(
        symbol=symbol,
        price=D(price),
        quantity=D(quantity),
        side=Side.BUY,
        trade_id=trade_id,
        ts=ts,
        ts_ingress=ts,
        source=source,
    )


def tick(bid: str, ask: str, *, ts: int = START, symbol: str = BTC) -> TickEvent:
    return TickEvent(
        symbol=symbol,
        bid_price=D(bid),
        bid_quantity=D(1),
        ask_price=D(ask),
        ask_quantity=D(1),
        ts=ts,
        ts_ingress=ts,
        source="feed",
    )


class MemoryTape:
    """A tape in memory. If ``synced`` is false, nothing is durable until the test calls ``sync()``. The next ``append``
    raises ``error``."""

    def __init__(self, *, synced: bool = True) -> None:
        self.cascades: list[list[DomainEvent]] = []
        self.error: Exception | None = None
        self.synced = synced
        self._durable = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def events(self) -> list[DomainEvent]:
        return [event for cascade in self.cascades for event in cascade]

    @property
    def last_seq(self) -> int:
        return self.cascades[-1][-1].seq if self.cascades else 0

    @property
    def durable_seq(self) -> int:
        return self.last_seq if self.synced else self._durable

    def append(self, cascade: Sequence[DomainEvent], expected_version: int | None = None) -> None:
        if self.error is not None:
            raise self.error
        assert cascade, "an empty cascade"
        assert [e.seq for e in cascade] == sorted({e.seq for e in cascade}), "seq must increase"
        assert cascade[0].seq > self.last_seq
        self.cascades.append(list(cascade))

    def sync(self, seq: int | None = None) -> None:
        """Make everything up to ``seq`` (or to the end) durable."""
        self._durable = self.last_seq if seq is None else seq
        for wanted, waiter in self._waiters:
            if wanted <= self._durable and not waiter.done():
                waiter.set_result(None)

    def wait_durable(self, seq: int) -> None:
        assert self.durable_seq >= seq, "a test would wait for ever"

    async def wait_durable_async(self, seq: int) -> None:
        if self.error is not None:
            raise self.error
        if self.durable_seq < seq:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append((seq, waiter))
            await waiter

    def read(self, query: TapeQuery | None = None) -> Iterator[DomainEvent]:
        return iter(self.events)

    def statistics(self) -> TapeStatistics:
        return TapeStatistics(appended=len(self.events), durable=0, commits=0, waiting=0)

    def close(self) -> None:
        """Does nothing."""


class ScriptedVenue:
    """A venue that does nothing by itself."""

    name = "scripted"

    def __init__(self, *, simulated: bool = True) -> None:
        self.simulated = simulated
        self.submitted: list[OrderSubmittedEvent] = []
        self.amended: list[OrderAmendRequestedEvent] = []
        self.cancelled: list[OrderCancelRequestedEvent] = []
        self.error: Exception | None = None

    def submit(self, order: OrderSubmittedEvent) -> None:
        self.submitted.append(order)
        if self.error is not None:
            raise self.error

    def amend(self, request: OrderAmendRequestedEvent) -> None:
        self.amended.append(request)
        if self.error is not None:
            raise self.error

    def cancel(self, request: OrderCancelRequestedEvent) -> None:
        self.cancelled.append(request)
        if self.error is not None:
            raise self.error


BITCOIN = Instrument(
    symbol=BTC, base="BTC", quote="USDT", tick_size=D("0.01"), lot_size=D("0.001"), min_quantity=D("0.001")
)


def instrument(symbol: str) -> Instrument:
    if symbol == BTC:
        return BITCOIN
    quote = "EUR" if symbol.endswith("EUR") else "USDT"
    return Instrument(symbol=symbol, base=symbol.removesuffix(quote), quote=quote)


class Core:
    """All engines around one kernel, as in a run, with a scripted venue behind the gateway."""

    def __init__(
        self,
        strategies: dict[str, Strategy] | None = None,
        *,
        limits: RiskLimits = RiskLimits(),  # noqa: B008 (frozen)
        candles: int | None = None,
        signals: Iterable[str] = (),
        own_signals: Mapping[str, Callable[[], Signal]] | None = None,
        seed: int = 1,
        tape: MemoryTape | None = None,
        venue: ScriptedVenue | None = None,
        max_cascade: int = 10_000,
        shuffle: Callable[[list[Subscription]], None] | None = None,
        monitors: int | None = None,
        short_selling: bool = False,
        stop_orders: StopOrders = ALL_STOP_ORDERS,
        amendment: Amendment = Amendment.FULL,
        on_difference: str = "halt",
        triggers: Iterable[TriggerWish] = (),
        symbols: tuple[str, ...] = (BTC,),
        rates_from: tuple[str, ...] = (BTC, "ETHUSDT"),
    ) -> None:
        """``monitors`` (ns): the interval of snapshots and heartbeats, and the longest silence of a feed.
        ``rates_from``: the symbols whose prices are rates between currencies.
        """
        strategies = strategies or {}
        self.tape = tape or MemoryTape()
        self.venue = venue or ScriptedVenue()
        self.agenda = Agenda()
        self.kernel = kernel = Kernel(tape=self.tape, agenda=self.agenda, max_cascade=max_cascade, shuffle=shuffle)
        base = Timeframe(candles) if candles is not None else None
        names = [with_timeframe(n, timeframes_of(s)) for s in strategies.values() for n in s.required_signals()]
        names += signals
        plan = CandlePlan.of(base, strategies.values(), names)._replace(base_wanted=candles is not None)
        self.instruments = InstrumentEngine(kernel, instrument)
        current = self.instruments.instrument
        self.market_data = MarketDataEngine(kernel, plan, snapshot_interval=monitors)
        if monitors is not None:
            FeedMonitor(kernel, monitors)
            HeartbeatEngine(kernel, monitors)
        self.signals = SignalEngine(kernel, self.market_data, names, own_signals, plan)
        rates = Rates(rates_from, instrument)
        account = Account(homes=rates.homes("USDT"))
        self.portfolio = PortfolioEngine(kernel, account, self.market_data, current, rates, on_difference=on_difference)
        self.execution = ExecutionEngine(kernel, "nonce", current)
        self.risk = RiskEngine(
            kernel,
            limits,
            clock=kernel.clock.now,
            price=self.market_data.price,
            close_ts=self.market_data.close_ts,
            portfolio=self.portfolio,
            instrument=current,
            why_closed=self.instruments.why_closed,
            short_selling=short_selling,
            nonce="nonce",
            stop_orders=stop_orders,
            amendment=amendment,
        )
        OperatorEngine(kernel, symbols=symbols, nonce="nonce")
        self.accounts = (AccountEngines(kernel, self.risk, self.execution, self.portfolio),)
        self.brackets = BracketEngine(kernel, self.accounts, symbols=symbols, nonce="nonce")
        wishes = tuple(triggers)
        conditions = [parse_condition(wish.when) for wish in wishes]
        conditions += [one for s in strategies.values() if isinstance(s, Rules) for one in s.conditions.values()]
        self.profits = StrategyProfits(
            kernel,
            lambda strategy_id: self.portfolio,
            price=self.market_data.price,
            instrument=current,
            wanted=asks_for_profits(conditions),
        )
        self.strategies = StrategyEngine(
            kernel,
            market_data=self.market_data,
            signals=self.signals,
            execution=self.execution,
            portfolio=self.portfolio,
            profits=self.profits,
            symbols=symbols,
            nonce="nonce",
            seed=seed,
            instrument=current,
            candles=plan,
        )
        for strategy_id, strategy in strategies.items():
            self.strategies.add(strategy_id, strategy)
        self.triggers = TriggerEngine(
            kernel,
            ConditionValues(kernel, self.market_data, self.signals, lambda account: self.portfolio, self.profits),
            self.signals,
            symbols=symbols,
            candles=plan,
            strategies=lambda: self.strategies.strategies,
            wishes=wishes,
        )
        self.triggers.check_wishes()
        self.gateway = VenueGateway(kernel, self.venue)
        self._trade_ids = 0

    # -- inputs -----------------------------------------------------------------------------------------------

    def start(self, cash: str = "100000") -> Core:
        self.feed(RunStarted(ts=START, ts_ingress=START, source="driver"))
        return self.feed(VenueBalanceReported(currency="USDT", total=D(cash), source="scripted"))

    def feed(self, *events: DomainEvent) -> Core:
        """Feed each event as an input, after the timers that are due before it."""
        for event in events:
            while (entry := self.agenda.pop(event.ts_ingress)) is not None:
                entry[1]()
            self.kernel.feed(event)
        return self

    def trades(self, *prices: str, step: int = SECOND) -> Core:
        """Feed trades that are ``step`` ns apart, starting ``step`` after now."""
        return self.feed(*(trade(price, ts=self.now + (i + 1) * step) for i, price in enumerate(prices)))

    def fill(
        self, order: OrderSubmittedEvent, price: str, quantity: str = "", *, fee: str = "0", fee_currency: str = "USDT"
    ) -> Core:
        """The venue reports a fill; without ``quantity``, of the whole order."""
        self._trade_ids += 1
        return self.feed(
            VenueFillReported(
                order_id=order.order_id,
                symbol=order.symbol,
                side=order.side,
                price=D(price),
                quantity=D(quantity) if quantity else order.quantity,
                venue_trade_id=f"t{self._trade_ids}",
                fee=D(fee),
                fee_currency=fee_currency,
                ts=self.now,
                ts_ingress=self.now,
                source="scripted",
                causation_id=order.event_id,
                correlation_id=order.correlation_id,
            )
        )

    def report(self, order: OrderSubmittedEvent, status: OrderStatus, reason: str = "", *, filled: str = "0") -> Core:
        return self.feed(
            VenueOrderReported(
                order_id=order.order_id,
                symbol=order.symbol,
                status=status,
                reason=reason,
                filled=D(filled),
                ts=self.now,
                source="scripted",
            )
        )

    def answer(self, request: OrderAmendRequestedEvent, *, granted: bool = True, reason: str = "") -> Core:
        """The venue answers a request to amend an order: it confirms the new values or refuses them."""
        return self.feed(
            VenueOrderReported(
                order_id=request.order_id,
                symbol=request.symbol,
                status=OrderStatus.ACCEPTED,
                revision=request.revision,
                quantity=request.quantity if granted else None,
                limit=request.limit if granted else None,
                reason=reason,
                source="scripted",
            )
        )

    def stop(self) -> Core:
        return self.feed(RunStopped(reason="end", source="driver"))

    # -- results ----------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.kernel.clock.now() or START

    @property
    def orders(self) -> list[OrderSubmittedEvent]:
        """The orders that reached the venue."""
        return self.venue.submitted

    def of(self, event_type: str) -> list[DomainEvent]:
        """The events of one type on the tape."""
        return [event for event in self.tape.events if event.event_type == event_type]

    def types(self, after: int = 0) -> list[str]:
        """The types of the events on the tape whose seq is above ``after``."""
        return [event.event_type for event in self.tape.events if event.seq > after]
