"""Users' signals: fed once, published as they declare, and isolated from each other's errors."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from application_kit import BTC, SECOND, START, Core, D, tick, trade

from tickdeck.application.signals import Signal
from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import (
    DomainEvent,
    HandlerFailed,
    OrderBookEvent,
    SignalSnapshotEvent,
    SystemWarning,
    TickEvent,
    TradeEvent,
)
from tickdeck.domain.market import OrderBook
from tickdeck.errors import ConfigError


class Spread(Signal):
    """The spread, at each change of the best prices."""

    publish_at = "event"
    scale: float = 1.0

    def on_tick(self, tick: TickEvent) -> None:
        self.value = float(tick.ask_price - tick.bid_price) * self.scale


class Count(Signal):
    """The number of trades, published at each candle's close."""

    def on_trade(self, trade: TradeEvent) -> None:
        self.value = (self.value or 0) + 1


class Depth(Signal):
    publish_at = "event"

    def on_book(self, book: OrderBook) -> None:
        self.value = float(len(book.bids()))


class Fails(Signal):
    def on_trade(self, trade: TradeEvent) -> None:
        self.value = 1.0
        if trade.price == 13:
            raise ValueError("thirteen")


def snapshots(core: Core) -> list[dict[str, float]]:
    return [e.values for e in core.tape.events if isinstance(e, SignalSnapshotEvent)]


def test_a_signal_that_is_published_at_each_event_gives_a_snapshot_after_each() -> None:
    core = Core(own_signals={"spread": lambda: Spread(scale=2.0)})

    core.feed(tick("99", "101"), tick("99", "100"))

    assert snapshots(core) == [{"spread": 4.0}, {"spread": 2.0}]
    assert core.signals.value("spread", BTC) == 2.0


def test_a_signal_that_is_published_at_candles_waits_for_the_close() -> None:
    core = Core(own_signals={"count": Count}, candles=SECOND)

    core.trades("10", "20", "30")

    assert snapshots(core) == [{"count": 2.0}, {"count": 3.0}]


def test_a_book_signal_gets_the_local_book() -> None:
    core = Core(own_signals={"depth": Depth})
    core.feed(
        OrderBookEvent(
            symbol=BTC, last_update_id=1, bids=((D(99), D(1)), (D(98), D(1))), asks=((D(101), D(1)),), ts_ingress=START
        )
    )

    assert snapshots(core) == [{"depth": 2.0}]


def test_each_symbol_has_a_signal_of_its_own() -> None:
    core = Core(own_signals={"count": Count}, candles=SECOND)

    core.feed(trade("10"), trade("20"))

    assert core.signals.value("count", BTC) == 2
    assert core.signals.value("count", "ETHUSDT") is None


def test_a_signal_that_raises_loses_its_value_and_the_others_continue() -> None:
    core = Core(own_signals={"bad": Fails, "count": Count}, candles=SECOND)

    core.feed(trade("10"), trade("13"), trade("14"))

    (failed,) = [e for e in core.tape.events if isinstance(e, HandlerFailed)]
    assert (failed.handler, failed.component, failed.error) == ("bad.on_trade", "signals:bad", "ValueError")
    assert core.signals.value("bad", BTC) is None
    assert core.signals.value("count", BTC) == 3
    assert not core.kernel.halted


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1.0", True, D(1)])
def test_a_value_that_is_not_a_finite_float_is_an_error_of_the_signal(value: Any) -> None:
    class Wrong(Signal):
        def on_trade(self, trade: TradeEvent) -> None:
            self.value = value

    core = Core(own_signals={"wrong": Wrong})
    core.feed(trade("10"))

    (failed,) = [e for e in core.tape.events if isinstance(e, HandlerFailed)]
    assert "signal 'wrong': value is" in failed.message


def test_an_async_method_of_a_signal_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(ConfigError, match="signal Slow: on_trade is async; a signal's methods are plain functions"):

        class Slow(Signal):
            async def on_trade(self, trade: TradeEvent) -> None: ...  # type: ignore[override]


def test_a_wrong_parameter_of_a_signal_is_named() -> None:
    with pytest.raises(ConfigError, match="signal Spread has no parameter 'scal'; it has: scale"):
        Spread(scal=1)


def test_an_unknown_name_is_reported_with_the_users_signals() -> None:
    with pytest.raises(ConfigError, match=r"signal 'sprad' is not known; .*and yours: spread"):
        Core(signals=("sprad",), own_signals={"spread": Spread})


# -- events of one's own in strategies --------------------------------------------------------------------------------


class Regime(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "test_own_signals.regime"
    name: str


class Announcer(Strategy):
    def on_trade(self, trade: TradeEvent) -> None:
        self.publish(Regime(name="calm" if trade.price < 20 else "wild"))


class Listener(Strategy):
    hears = (Regime,)

    def on_start(self) -> None:
        self.regimes: list[str] = []

    def on_event(self, event: DomainEvent) -> None:
        assert isinstance(event, Regime)
        self.regimes.append(event.name)


def test_strategies_publish_and_receive_their_own_events() -> None:
    listener = Listener()
    core = Core({"announcer": Announcer(), "listener": listener}).start()

    core.feed(trade("10"), trade("30"))

    assert listener.regimes == ["calm", "wild"]
    published = [e for e in core.tape.events if isinstance(e, Regime)]
    assert [e.source for e in published] == ["announcer", "announcer"]
    assert published[0].causation_id


def test_a_strategy_cannot_publish_events_of_the_core() -> None:
    class Liar(Strategy):
        def on_trade(self, trade: TradeEvent) -> None:
            self.publish(SystemWarning(component="risk", message="never mind"))

    core = Core({"liar": Liar()}).start()
    core.feed(trade("10"))

    (failed,) = [e for e in core.tape.events if isinstance(e, HandlerFailed)]
    assert "system.warning belongs to Tickdeck; publish events of your own classes" in failed.message
