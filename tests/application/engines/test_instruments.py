"""What a venue reports about its instruments while a run trades."""

from __future__ import annotations

from application_kit import BTC, Core, D, instrument
from kernel_kit import kernel_with

from tickdeck.application.engines import InstrumentEngine
from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import (
    CommandReceived,
    NotificationAlert,
    OrderCancelRequestedEvent,
    OrderSubmittedEvent,
    RiskLimitBreachedEvent,
    SystemWarning,
    TradeEvent,
    VenueInstrumentReported,
)
from tickdeck.domain.values import Side


class Buyer(Strategy):
    """Buys a little with each trade, and cancels everything at a price below 50."""

    def on_trade(self, trade: TradeEvent) -> None:
        if trade.price < 50:
            for order_id in self.open_orders():
                self.cancel(order_id)
        else:
            self.buy(BTC, D("0.123456"), limit=D("99.777"))


def report(status: str = "trading", tick: str = "0.1", lot: str = "0.01") -> VenueInstrumentReported:
    return VenueInstrumentReported(
        symbol=BTC, base="BTC", quote="USDT", status=status, raw_status="X", tick_size=D(tick), lot_size=D(lot)
    )


def traded(core: Core, price: str = "100") -> None:
    core.feed(TradeEvent(symbol=BTC, price=D(price), quantity=D(1), side=Side.BUY))


def test_orders_are_rounded_to_the_steps_that_the_venue_reported_last() -> None:
    core = Core({"buyer": Buyer()}).start()
    for event in (report(), report(tick="1", lot="0.1")):
        core.feed(event)
        traded(core)

    sent = [event for event in core.tape.read() if isinstance(event, OrderSubmittedEvent)]
    assert [(str(order.limit), str(order.quantity)) for order in sent] == [("99.8", "0.12"), ("100", "0.1")]


def test_a_symbol_that_is_halted_gets_no_orders_and_cancels_still_go_out() -> None:
    core = Core({"buyer": Buyer()}).start()
    core.feed(report())
    traded(core)
    core.feed(report("cancel_only"))
    traded(core)
    traded(core, "10")

    events = list(core.tape.read())
    assert sum(isinstance(event, OrderSubmittedEvent) for event in events) == 1
    assert sum(isinstance(event, OrderCancelRequestedEvent) for event in events) == 1
    (breach,) = [event for event in events if isinstance(event, RiskLimitBreachedEvent)]
    assert breach.limit == "instrument"
    assert "the venue does not trade BTCUSDT now: cancel_only (X)" in breach.detail


def test_a_symbol_that_trades_again_gets_orders_again() -> None:
    core = Core({"buyer": Buyer()}).start()
    for status in ("halt", "trading"):
        core.feed(report(status))
        traded(core)

    assert sum(isinstance(event, OrderSubmittedEvent) for event in core.tape.read()) == 1
    assert not core.instruments.why_closed(BTC)


def test_a_report_never_changes_currencies() -> None:
    core = Core().start()
    core.feed(VenueInstrumentReported(symbol=BTC, base="X", quote="Y", status="trading", tick_size=D(1), lot_size=D(1)))

    found = core.instruments.instrument(BTC)
    assert (found.base, found.quote, found.tick_size) == (instrument(BTC).base, instrument(BTC).quote, D(1))


def test_an_alert_tells_once_that_the_venue_stops_and_begins_again_to_trade_a_symbol() -> None:
    core = Core().start()
    for status in ("trading", "halt", "halt", "trading", "trading"):
        core.feed(report(status))

    alerts = [(event.severity, event.text) for event in core.tape.read() if isinstance(event, NotificationAlert)]
    assert alerts == [
        ("warning", "the venue does not trade BTCUSDT now: halt (X); only cancels leave for it"),
        ("info", "the venue trades BTCUSDT again"),
    ]


def test_a_position_in_a_symbol_that_is_halted_is_not_closed_and_a_warning_says_so() -> None:
    core = Core({"buyer": Buyer()}).start()
    traded(core)
    core.fill(core.orders[0], "99.78").feed(report("halt"))
    core.feed(CommandReceived(command="flatten"))

    (warning,) = [event for event in core.tape.read() if isinstance(event, SystemWarning)]
    assert warning.message == (
        "flatten: 0.123 BTCUSDT are not closed, because the venue does not trade BTCUSDT now: halt (X)"
    )
    assert len(core.orders) == 1


def test_what_is_at_stake_in_a_delisted_symbol_is_told_once_in_the_cascade_of_the_report() -> None:
    """So a tape that has the report has the alert, whenever the process is killed."""
    kernel, tape = kernel_with()
    InstrumentEngine(kernel, instrument, lambda symbol: [f"a1 has 3 {symbol}", "a2 has 4"])
    for status in ("halt", "delisted", "delisted"):
        kernel.feed(report(status))

    told = [event for event in tape.read() if isinstance(event, NotificationAlert) and event.severity == "critical"]
    assert [event.text.partition(".")[0] for event in told] == [
        f"{BTC} was delisted: a1 has 3 {BTC}",
        f"{BTC} was delisted: a2 has 4",
    ]
    assert {event.causation_id for event in told} == {"2"}
