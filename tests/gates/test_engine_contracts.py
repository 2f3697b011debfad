"""Each engine receives and publishes exactly what it declares. An eventful run is observed to check it."""

from __future__ import annotations

import random
import sys
from types import FrameType
from typing import Any

import pytest
from application_kit import BTC, MS, SECOND, START, Core, D, ScriptedVenue, tick, trade
from folding import assert_folds

from tickdeck.application.engines import (
    BracketEngine,
    ExecutionEngine,
    FeedMonitor,
    HeartbeatEngine,
    InstrumentEngine,
    MarketDataEngine,
    OperatorEngine,
    PortfolioEngine,
    RiskEngine,
    SignalEngine,
    StrategyEngine,
    StrategyProfits,
    TriggerEngine,
    TriggerWish,
    VenueGateway,
)
from tickdeck.application.engines.strategies.desk import Desk
from tickdeck.application.kernel import Kernel
from tickdeck.application.signals import Signal
from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import (
    ActionIntent,
    BracketOpenedEvent,
    CommandReceived,
    DeadLetterHandled,
    DomainEvent,
    EventDeadLettered,
    FeedConnected,
    FeedDisconnected,
    HandlerFailed,
    NotificationAlert,
    OrderBookDeltaEvent,
    OrderBookEvent,
    RiskApprovedEvent,
    RunResumed,
    StateUpdated,
    StrategyDecisionEvent,
    SystemError,  # noqa: A004 (the catalogue's name)
    SystemWarning,
    TimerCancelled,
    TimerSet,
    TradeEvent,
    TradingHalted,
    TransferKind,
    VenueBalanceReported,
    VenueExternalFillReported,
    VenueFillReported,
    VenueInstrumentReported,
    VenueLiquidationReported,
    VenueMarginCallReported,
    VenueOrderNotFound,
    VenueRateReported,
    VenueTransferReported,
    iter_event_classes,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus, Side

ENGINES: tuple[Any, ...] = (
    InstrumentEngine,
    MarketDataEngine,
    FeedMonitor,
    HeartbeatEngine,
    SignalEngine,
    RiskEngine,
    ExecutionEngine,
    PortfolioEngine,
    OperatorEngine,
    BracketEngine,
    StrategyProfits,
    TriggerEngine,
    StrategyEngine,
    VenueGateway,
)


ANSWERS = [OrderStatus.ACCEPTED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED]


class Busy(Strategy):
    """Trades in both directions, amends, cancels, exceeds limits, and finally fails. Overrides everything."""

    most: int = 2

    def required_signals(self) -> tuple[str, ...]:
        return "ema-2", "vwap-2", "imbalance-2"

    def on_trade(self, trade: TradeEvent) -> None:
        if trade.price == 13:
            raise ValueError("thirteen")
        open_orders = self.open_orders(BTC)
        if len(open_orders) > self.most:
            self.cancel(open_orders[0])
        elif open_orders and self.rng.random() < 0.3:
            self.amend(open_orders[0], limit=D(15))
        elif self.rng.random() < 0.7:
            (self.buy if self.rng.random() < 0.5 else self.sell)(BTC, D(self.rng.randint(2, 9)), D(15))
        self.set_timer("again", 3 * MS)
        self.update_state({"open": len(open_orders)})
        self.notify("still here")

    def on_start(self) -> None: ...
    def on_activated(self) -> None: ...
    def on_updated(self) -> None: ...
    def on_stop(self) -> None: ...
    def on_tick(self, tick: Any) -> None: ...
    def on_book(self, book: Any) -> None: ...
    def on_candle(self, candle: Any) -> None: ...
    def on_signal(self, signal: Any) -> None: ...
    def on_order(self, order: Any) -> None: ...
    def on_fill(self, fill: Any) -> None: ...
    def on_position(self, position: Any) -> None: ...
    def on_timer(self, timer: Any) -> None: ...


class Fragile(Signal):
    """Receives ticks, and fails at the second one."""

    ticks = 0

    def on_tick(self, tick: Any) -> None:
        self.ticks += 1
        if self.ticks == 2:
            raise ValueError("two")


class Calm(Strategy):
    """Does nothing, and is controlled by commands."""

    few: int = 0

    def on_updated(self) -> None: ...
    def on_stop(self) -> None: ...


class Holder(Strategy):
    """Protects its position on a command, sells a part of it, and protects it no longer."""

    hears = (CommandReceived,)

    def on_event(self, event: DomainEvent) -> None:
        command = getattr(event, "command", "")
        long = self.position(BTC).quantity > 0
        if command == "protect-it":
            self.protect(BTC, stop_loss=D(1) if long else D(1_000))
        elif command == "reduce":
            (self.sell if long else self.buy)(BTC, D("0.001"))
        elif command == "leave-it":
            self.unprotect(BTC)
        elif command == "bracket-it":
            self.bracket(Side.BUY, BTC, D(1), D(9), stop_loss="2%")


class Watched:
    """What each component subscribed to, received, and published."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.topics: dict[str, list[type[DomainEvent]]] = {}
        self.heard: dict[str, set[type[DomainEvent]]] = {}
        self.published: dict[str, set[type[DomainEvent]]] = {}
        subscribe, publish, feed = Kernel.subscribe, Kernel.publish, Kernel.feed

        def watched_subscribe(kernel: Kernel, topic: Any, handler: Any, **options: Any) -> Any:
            component = options.get("component", "").partition(":")[0]
            self.topics.setdefault(component, []).append(topic)
            subscription = subscribe(kernel, topic, handler, **options)
            inner = subscription.call

            def call(event: DomainEvent) -> Any:
                self.heard.setdefault(component, set()).add(type(event))
                return inner(event)

            subscription.call = call
            return subscription

        def watched_publish(kernel: Kernel, event: DomainEvent) -> Any:
            self._note(event, sys._getframe(1))
            return publish(kernel, event)

        def watched_feed(kernel: Kernel, event: DomainEvent, record: bool = True) -> None:
            self._note(event, sys._getframe(1))
            feed(kernel, event, record)

        monkeypatch.setattr(Kernel, "subscribe", watched_subscribe)
        monkeypatch.setattr(Kernel, "publish", watched_publish)
        monkeypatch.setattr(Kernel, "feed", watched_feed)

    def _note(self, event: DomainEvent, frame: FrameType | None) -> None:
        """The engine whose method is on the stack, or ``None``."""
        while frame is not None:
            owner = frame.f_locals.get("self")
            if type(owner) in ENGINES:
                self.published.setdefault(owner.component, set()).add(type(event))
                return
            if type(owner) is Desk:
                self.published.setdefault("strategy", set()).add(type(event))
                return
            frame = frame.f_back


def book(last: int) -> OrderBookEvent:
    return OrderBookEvent(symbol=BTC, last_update_id=last, bids=((D(9), D(1)),), asks=((D(11), D(1)),))


def delta(first: int) -> OrderBookDeltaEvent:
    return OrderBookDeltaEvent(symbol=BTC, first_update_id=first, last_update_id=first)


def in_doubt(core: Core) -> None:
    """An order that nobody knows, which is concluded to be dead and is open after all."""
    intent = ActionIntent(
        action="order", symbol=BTC, side=Side.BUY, quantity=D(1), limit=D(1), order_id="doubted", reduce_only=True
    )
    core.feed(RiskApprovedEvent(strategy_id="busy", intent=intent))
    core.report(core.orders[-1], OrderStatus.UNKNOWN)
    core.feed(VenueOrderNotFound(order_id="doubted", symbol=BTC, sources=("order",), waited=SECOND))
    core.report(core.orders[-1], OrderStatus.ACCEPTED)


def others_at_work(core: Core) -> None:
    """A payment, a fill of somebody else, and a balance that two readings show to differ."""
    core.feed(VenueTransferReported(currency="USDT", amount=D(5), transfer_kind=TransferKind.DEPOSIT, transfer_id="1"))
    core.feed(
        VenueExternalFillReported(
            symbol=BTC, base="BTC", quote="USDT", venue_trade_id="e", side=Side.BUY, price=D(1), quantity=D(1)
        )
    )
    core.feed(VenueRateReported(currency="BNB", into="USDT", rate=D(5)))
    core.feed(
        VenueMarginCallReported(
            symbol=BTC,
            quantity=D(2),
            price=D(9),
            equity=D(1),
            requirement=D(1),
            liquidation_price=D(8),
            currency="USDT",
        )
    )
    for _ in range(2):  # a repeated one counts once
        core.feed(
            VenueLiquidationReported(symbol=BTC, side=Side.SELL, price=D(8), quantity=D("0.5"), venue_trade_id="l1")
        )
    core.feed(CommandReceived(command="adopt"))
    for second in (1, 3):
        at = core.now + second * SECOND
        core.feed(VenueBalanceReported(currency="USDT", total=D(1), source="scripted", ts_ingress=at))


def protect(core: Core) -> None:
    """A position is protected by an order that is refused, then by one that makes room for an order of the strategy."""
    core.feed(CommandReceived(command="protect-it"))
    core.report(core.orders[-1], OrderStatus.REJECTED)
    core.feed(CommandReceived(command="protect-it"))
    core.feed(CommandReceived(command="reduce"))
    core.report(core.orders[-1], OrderStatus.CANCELLED)
    core.fill(core.orders[-2], "14")
    core.feed(CommandReceived(command="leave-it"))
    core.report(core.orders[-1], OrderStatus.CANCELLED)


def bracket(core: Core, quantity: str, entry: str = "market") -> None:
    side, stop = ("buy", "1") if core.risk.exposure.position(BTC) >= 0 else ("sell", "1000")
    arguments = {"side": side, "symbol": BTC, "quantity": quantity, "entry": entry, "stop_loss": stop}
    core.feed(CommandReceived(command="bracket", arguments={**arguments, "expires": "1s"}))


def brackets(core: Core) -> None:
    """One whose stop is refused, and whose entry is open when its time is over; one with a mistake."""
    bracket(core, "2", "14")
    entry = core.orders[-1]
    core.fill(entry, "14", "1")
    core.report(core.orders[-1], OrderStatus.REJECTED)
    core.feed(trade("14", ts=core.now + 2 * SECOND))
    core.report(entry, OrderStatus.CANCELLED, filled="1")
    bracket(core, "2", "soon")
    core.feed(CommandReceived(command="bracket-it"))


TRIGGERS = (
    TriggerWish(
        name="all", when="equity > 0 and signal(fragile) > 0 or position > 100 or pnl(calm) > 1000", then="notify"
    ),
    TriggerWish(name="short", when="price > 1000", then="halt", expires="2s"),
    TriggerWish(name="level", when="price crosses_above 15", then="cancel", once=False, every="100ms"),
)


def triggers_by_command(core: Core) -> None:
    """Triggers that are made, changed and removed, with mistakes."""
    for command, arguments in (
        ("create", {"when": "price > ", "then": "halt"}),
        ("create", {"when": "price > 1", "then": "notify"}),
        ("update", {"when": "price > 100"}),
        ("delete", {}),
    ):
        core.feed(CommandReceived(command=f"trigger-{command}", arguments={"trigger_id": "late", **arguments}))


def eventful_run() -> Core:
    """A run with everything: gaps, refusals, every end of an order, unknown orders, an error, halts."""
    rng = random.Random(5)
    venue = ScriptedVenue()
    limits = RiskLimits(max_position_notional=D(300), max_daily_loss=D(10_000), max_orders_per_second=1_000)
    core = Core(
        {"busy": Busy(), "calm": Calm(), "last": Calm(), "holder": Holder()},
        candles=10 * MS,
        own_signals={"fragile": Fragile},
        limits=limits,
        venue=venue,
        monitors=20 * MS,
        short_selling=True,
        triggers=TRIGGERS,
    ).start()
    # Coins of the account at the start: the portfolio receives the market until there is a price of ether, and risk as
    # long as bitcoin is owed.
    for currency, total in (("BTC", "-1"), ("ETH", "1")):
        core.feed(VenueBalanceReported(currency=currency, total=D(total), source="scripted"))
    for status in ("halt", "trading"):
        core.feed(
            VenueInstrumentReported(
                symbol=BTC, base="BTC", quote="USDT", status=status, tick_size=D("0.01"), lot_size=D("0.001")
            )
        )
    core.feed(FeedConnected(feed="files", symbols=(BTC,)))
    core.feed(RunResumed())
    bracket(core, "1000")  # which risk refuses
    core.feed(tick("9", "11"), tick("9", "12"), book(1), delta(2), delta(9), book(9))
    for n in range(300):
        core.feed(trade(str(14 + n % 5), ts=START + SECOND + n * 4 * MS, trade_id=n + n // 100 + 1))
        venue.error = ConnectionError() if n % 20 == 7 else None
        for order in list(venue.submitted):
            state = core.execution.orders[order.order_id]
            if state.is_open and rng.random() < 0.4:
                if rng.random() < 0.4:
                    core.fill(order, "15", rng.choice(["1", str(state.remaining)]))
                else:
                    core.report(order, rng.choice(ANSWERS))
        for request in venue.amended:
            state = core.execution.orders[request.order_id]
            granted = rng.random() < 0.5 and state.is_open and request.quantity > state.filled
            core.answer(request, granted=granted, reason="" if granted else "amend refused")
        venue.amended.clear()
    core.feed(VenueBalanceReported(currency="USDT", total=D(1), source="scripted"))
    core.feed(VenueFillReported(order_id="x", symbol=BTC, side=Side.BUY, price=D(1), quantity=D(1), venue_trade_id="x"))
    core.feed(trade("14", ts=core.now + SECOND), trade("13", ts=core.now + SECOND))
    for command in ("update", "activate", "pause", "activate", "pause", "delete", "delete"):
        arguments = {"strategy_id": "calm"} | ({"few": "1"} if command == "update" else {})
        core.feed(CommandReceived(command=f"strategy-{command}", arguments=arguments))
    in_doubt(core)
    protect(core)
    brackets(core)
    others_at_work(core)
    triggers_by_command(core)
    for quantity in ("1", "none"):
        core.feed(CommandReceived(command="submit", arguments={"side": "buy", "symbol": BTC, "quantity": quantity}))
    for command in ("halt", "resume", "resume"):
        core.feed(CommandReceived(command=command))
    core.kernel.set_timer(core.now + MS, "midnight", "risk")  # as if a day had passed
    core.feed(trade("14", ts=core.now + 2 * MS))
    core.feed(FeedDisconnected(feed="files", symbols=(BTC,)))
    return core.stop()


def test_the_state_of_the_engines_equals_the_fold_of_their_events() -> None:
    core = eventful_run()

    assert len(core.execution.orders) > 20
    assert_folds(
        core.tape.events,
        execution=core.execution,
        portfolio=core.portfolio,
        risk=core.risk,
        strategies=core.strategies,
    )


@pytest.fixture(scope="module")
def watched() -> Watched:
    with pytest.MonkeyPatch.context() as monkeypatch:
        watched = Watched(monkeypatch)
        core = eventful_run()
    assert core.strategies.paused == ["busy"]
    assert "calm" not in core.strategies.strategies
    assert not core.kernel.halted
    return watched


def concrete(declared: tuple[type[DomainEvent], ...]) -> set[type[DomainEvent]]:
    """The declared types; a family counts as all its members."""
    return {cls for cls in iter_event_classes() if issubclass(cls, declared) and cls.__module__.startswith("tickdeck.")}


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_subscribes_to_the_events_that_it_declares(engine: Any, watched: Watched) -> None:
    assert set(watched.topics[engine.component]) == set(engine.hears)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_receives_all_declared_events_in_an_eventful_run(engine: Any, watched: Watched) -> None:
    assert watched.heard[engine.component] == concrete(engine.hears)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_publishes_all_declared_events_and_no_others(engine: Any, watched: Watched) -> None:
    assert watched.published.get(engine.component, set()) == set(engine.publishes)


def test_every_derived_event_is_published_by_exactly_one_engine_or_the_kernel() -> None:
    publishers: dict[type[DomainEvent], list[str]] = {}
    for engine in ENGINES:
        for event_type in engine.publishes:
            publishers.setdefault(event_type, []).append(engine.component)

    shared = {event_type: who for event_type, who in publishers.items() if len(who) > 1}
    assert shared == {  # every declared engine publishes something
        StrategyDecisionEvent: ["operator", "bracket", "strategy"],
        BracketOpenedEvent: ["bracket", "strategy"],
        SystemWarning: ["risk", "execution", "portfolio", "operator", "bracket", "trigger", "strategy", "gateway"],
        NotificationAlert: ["instruments", "risk", "execution", "portfolio", "bracket", "trigger", "strategy"],
        StateUpdated: ["portfolio", "strategy"],
    }
    inputs = (
        "market.",
        "venue.",
        "timer.fired",
        "command.",
        "run.",
        "backtest.",
        "feed.connected",
        "feed.disconnected",
        "trade.",  # from use cases outside of runs
        "reconciliation.",
    )
    derived = {
        c for c in iter_event_classes() if c.__module__.startswith("tickdeck.") and not c.event_type.startswith(inputs)
    }
    by_kernel = {HandlerFailed, EventDeadLettered, DeadLetterHandled, SystemError, TimerSet, TimerCancelled}
    assert derived - publishers.keys() == by_kernel
    assert TradingHalted in RiskEngine.publishes  # the kernel emits it too
