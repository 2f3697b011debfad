"""The trade journal: the round trips of a record, from its decisions, fills and positions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from tickdeck.application.bus import EventBus
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionLiquidatedEvent,
    PositionOpenedEvent,
    ProtectionDecidedEvent,
    StrategyDecisionEvent,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT, RoundTrip, RoundTrips, TripFill, cut
from tickdeck.domain.values import ZERO, Money, Price, Quantity

__all__ = ["JOURNAL_EVENTS", "STATISTICS_BY", "TradeJournal", "TradeStatistics", "trade_statistics"]

JOURNAL_EVENTS: tuple[type[DomainEvent], ...] = (
    StrategyDecisionEvent,
    ProtectionDecidedEvent,
    CommandReceived,
    OrderPartiallyFilledEvent,
    OrderFilledEvent,
    PositionOpenedEvent,
    PositionLiquidatedEvent,
)
"""The events that a journal is made from."""

_REASONS = 10_000  # orders whose reason is remembered: the newest
_RISK = "risk"  # whose orders are those of the commands `flatten` and `close`


_Moves = OrderPartiallyFilledEvent | OrderFilledEvent | PositionOpenedEvent | PositionLiquidatedEvent


class TradeJournal:
    """Keeps the round trips of all accounts and symbols. The same events give the same journal, whether it follows a
    bus or reads a tape.

    ``instrument(symbol)`` gives the currencies of a symbol. A fee in base currency counts at the price of its fill; a
    fee in a third currency is in ``other_fees``. Coins that were held at the start are a round trip of their own, which
    a fill reduces only when it closes more than was traded since. ``on_closed(trip)`` is called when a round trip ends.
    """

    def __init__(
        self, instrument: Callable[[str], Instrument], on_closed: Callable[[RoundTrip], None] = lambda trip: None
    ) -> None:
        self._instrument = instrument
        self._on_closed = on_closed
        self._trips: dict[tuple[str, str], RoundTrips] = {}  # by account and symbol
        self._held: dict[tuple[str, str], RoundTrips] = {}  # the same of what no order bought
        self._reasons: dict[str, str] = {}  # by order id
        self._exits: dict[str, ProtectionDecidedEvent] = {}  # orders that protect a position, by their id
        self._commands: dict[str, str] = {}  # why the operator last closed positions, by symbol; "": of all symbols
        self.closed: list[RoundTrip] = []
        """The round trips that have ended, in order of their end."""

    def follow(self, bus: EventBus) -> None:
        """Subscribe to everything that the journal needs."""
        for event_class in JOURNAL_EVENTS:
            bus.subscribe(event_class, self.apply, name="trade journal", priority=-100, component="report")

    def apply(self, event: DomainEvent) -> None:
        """Take the next event of a record. Other events than ``JOURNAL_EVENTS`` change nothing."""
        if isinstance(event, OrderPartiallyFilledEvent | OrderFilledEvent):
            self._on_fill(event)
        elif isinstance(event, StrategyDecisionEvent):
            self._on_decision(event)
        elif isinstance(event, ProtectionDecidedEvent):
            self._on_exit(event)
        elif isinstance(event, CommandReceived):
            self._on_command(event)
        elif isinstance(event, PositionOpenedEvent) and not event.opened_by_orders:
            self._on_holding(event)
        elif isinstance(event, PositionLiquidatedEvent):
            self._on_liquidated(event)

    def open(self, price: Callable[[str], Price | None] = lambda symbol: None) -> list[RoundTrip]:
        """The open round trips, valued at ``price(symbol)``, or at cost without one; in order of their entry."""
        trips = (trips.open(price(trips.symbol)) for trips in (*self._held.values(), *self._trips.values()))
        return sorted((trip for trip in trips if trip is not None), key=lambda trip: trip.entry_ts)

    def _on_decision(self, decision: StrategyDecisionEvent) -> None:
        for intent in decision.intents:
            if intent.action == "order" and intent.order_id and decision.reason:
                self._reasons[intent.order_id] = decision.reason
        while len(self._reasons) > _REASONS:
            del self._reasons[next(iter(self._reasons))]

    def _on_exit(self, decided: ProtectionDecidedEvent) -> None:
        if decided.intent.action == "order":
            self._exits[decided.intent.order_id] = decided
        while len(self._exits) > _REASONS:
            del self._exits[next(iter(self._exits))]

    def _on_command(self, event: CommandReceived) -> None:
        if event.command not in ("flatten", "close"):
            return
        symbol = event.arguments.get("symbol", "")
        if not symbol:
            self._commands.clear()
        self._commands[symbol] = f"{event.command}: {event.reason}" if event.reason else event.command

    def _on_holding(self, opened: PositionOpenedEvent) -> None:
        """Coins that the account had at the start, at their first price."""
        self._end(
            self._trips_of(self._held, opened),
            TripFill(
                ts=opened.ts_ingress,
                signed=opened.quantity,
                price=opened.average_price,
                reason="held at the start",
                event_id=opened.event_id,
            ),
        )

    def _on_liquidated(self, event: PositionLiquidatedEvent) -> None:
        """The venue closed a position by itself."""
        self._take(
            event,
            TripFill(
                ts=event.ts_ingress,
                signed=EXACT.multiply(event.quantity, Decimal(event.side.sign)),
                price=event.price,
                fee=event.fee,
                order_id=event.order_id,
                reason="liquidated",
                event_id=event.event_id,
            ),
        )

    def _on_fill(self, fill: OrderPartiallyFilledEvent | OrderFilledEvent) -> None:
        instrument = self._instrument(fill.symbol)
        signed = EXACT.multiply(fill.quantity, Decimal(fill.side.sign))
        fee, other_fees = fill.fee, dict[str, Money]()
        if fill.fee_currency == instrument.base:  # it is subtracted from the received quantity
            signed = EXACT.subtract(signed, fee)
            fee = EXACT.multiply(fee, fill.price)
        elif fill.fee_currency not in ("", instrument.quote):
            fee, other_fees = ZERO, {fill.fee_currency: fee}
        self._take(
            fill,
            TripFill(
                ts=fill.ts_ingress,
                signed=signed,
                price=fill.price,
                fee=fee,
                other_fees=other_fees,
                strategy_id=fill.strategy_id,
                order_id=fill.order_id,
                reason=self._reason(fill),
                event_id=fill.event_id,
            ),
        )

    def _reason(self, fill: OrderPartiallyFilledEvent | OrderFilledEvent) -> str:
        """The reason of the strategy's decision, or of the command that closed the position, or the price that was
        reached: ``stop``, ``target`` or ``trailing``."""
        exit_order = self._exits.get(fill.order_id)
        if exit_order is not None:
            return _price_reached(exit_order, fill)
        if fill.strategy_id == _RISK:
            return self._commands.get(fill.symbol) or self._commands.get("", "")
        return self._reasons.get(fill.order_id, "")

    def _take(self, event: _Moves, fill: TripFill) -> None:
        """Book a fill: it first closes what was traded, then what was held at the start, and opens with the rest."""
        trips, held = self._trips_of(self._trips, event), self._held.get((event.account_id, event.symbol))
        beyond = ZERO if held is None else _beyond(fill.signed, trips.net, held.net)
        if held is None or not beyond:
            self._end(trips, fill)
        elif beyond == abs(fill.signed):
            self._end(held, fill)
        else:
            of_held, rest = fill.split(beyond)
            self._end(trips, rest)
            self._end(held, of_held)

    def _trips_of(self, among: dict[tuple[str, str], RoundTrips], event: _Moves) -> RoundTrips:
        key = event.account_id, event.symbol
        trips = among.get(key)
        if trips is None:
            trips = among[key] = RoundTrips(
                event.symbol,
                currency=self._instrument(event.symbol).quote,
                account_id=event.account_id,
                user_id=event.user_id,
            )
        return trips

    def _end(self, trips: RoundTrips, fill: TripFill) -> None:
        """Book a fill, and list the round trip that it ends."""
        ended = trips.take(fill)
        if ended is not None:
            self.closed.append(ended)
            self._on_closed(ended)


def _beyond(signed: Quantity, traded: Quantity, held: Quantity) -> Quantity:
    """How much of a fill (base) closes what was ``held``: what is left of it when everything ``traded`` is closed."""
    if signed * held >= 0:
        return ZERO
    closing = min(abs(signed), abs(traded)) if signed * traded < 0 else ZERO
    return min(EXACT.subtract(abs(signed), closing), abs(held))


def _price_reached(decided: ProtectionDecidedEvent, fill: OrderPartiallyFilledEvent | OrderFilledEvent) -> str:
    """Which price an order that protects a position was filled at."""
    target = decided.intent.limit
    if target is not None and (fill.price - target) * fill.side.sign <= 0:
        return "target"
    if decided.intent.stop is None:
        return decided.reason  # a market order, after the price had been reached
    return "trailing" if decided.trails else "stop"


class TradeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of closed round trips, in their quote currency ``currency``.

    - ``volume``: price x quantity of all entries and exits. ``pnl``: after ``fees``.
    - ``win_rate``: the fraction with a ``pnl`` above 0. ``profit_factor``: profits over losses; ``None`` without a
      loss. ``expectancy``: the mean ``pnl``.
    """

    key: str
    currency: str
    trades: int
    volume: Money
    fees: Money
    pnl: Money
    win_rate: float
    profit_factor: float | None
    expectancy: Money


STATISTICS_BY: dict[str, Callable[[RoundTrip], str]] = {
    "user": lambda trip: trip.user_id,
    "account": lambda trip: trip.account_id,
    "strategy": lambda trip: trip.strategy_id,
    "symbol": lambda trip: trip.symbol,
    "day": lambda trip: _day(trip.exit_ts or trip.entry_ts),
}
"""What statistics can be grouped by: the key of a round trip. ``day`` is the UTC day of its end."""


def trade_statistics(trips: Iterable[RoundTrip], by: str) -> list[TradeStatistics]:
    """The figures of closed round trips by a key of ``STATISTICS_BY`` and by quote currency, in order of the key.

    Open round trips are left out, because their result is not known.
    """
    groups: dict[tuple[str, str], list[RoundTrip]] = {}
    for trip in trips:
        if trip.exit_ts is not None:
            key = STATISTICS_BY[by](trip), trip.currency
            groups.setdefault(key, []).append(trip)
    return [_statistics(key, currency, group) for (key, currency), group in sorted(groups.items())]


def _statistics(key: str, currency: str, trips: list[RoundTrip]) -> TradeStatistics:
    profits = _sum(trip.pnl for trip in trips if trip.pnl > 0)
    losses = _sum(trip.pnl for trip in trips if trip.pnl < 0)
    pnl = EXACT.add(profits, losses)
    return TradeStatistics(
        key=key,
        currency=currency,
        trades=len(trips),
        volume=_sum(trip.volume for trip in trips),
        fees=_sum(trip.fees for trip in trips),
        pnl=pnl,
        win_rate=sum(trip.pnl > 0 for trip in trips) / len(trips),
        profit_factor=float(profits) / -float(losses) if losses else None,
        expectancy=cut(EXACT.divide(pnl, Decimal(len(trips)))),
    )


def _sum(amounts: Iterable[Money]) -> Money:
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def _day(ts: int) -> str:
    return datetime.fromtimestamp(ts // 1_000_000_000, UTC).date().isoformat()
