"""The trade journal: the round trips of a record, from its decisions, fills and positions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from tickdeck.application.arguments import check_function
from tickdeck.application.bus import EventBus
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    ProtectionDecidedEvent,
    StrategyDecisionEvent,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT, TRADE_EVENTS, RoundTrip, StrategyTrades, cut
from tickdeck.domain.values import ZERO, Money, Price
from tickdeck.errors import ConfigError

__all__ = ["JOURNAL_EVENTS", "STATISTICS_BY", "TradeJournal", "TradeStatistics", "trade_statistics"]

JOURNAL_EVENTS: tuple[type[DomainEvent], ...] = (
    StrategyDecisionEvent,
    ProtectionDecidedEvent,
    CommandReceived,
    *TRADE_EVENTS,
)
"""The events that a journal is made from."""

_REASONS = 10_000  # orders whose reason is remembered: the newest
_RISK = "risk"  # whose orders are those of the commands `flatten` and `close`


class TradeJournal:
    """Keeps the round trips of all accounts, symbols and strategies. The same events give the same journal, whether it
    follows a bus or reads a tape. ``StrategyTrades`` says whose trade a fill is.

    ``instrument(symbol)`` gives the currencies of a symbol. A fee in base currency counts at the price of its fill; a
    fee in a third currency is in ``other_fees``. Coins that were held at the start are a round trip of their own.
    ``on_closed(trip)`` is called when a round trip ends.
    """

    def __init__(
        self, instrument: Callable[[str], Instrument], on_closed: Callable[[RoundTrip], None] = lambda trip: None
    ) -> None:
        check_function("TradeJournal", "instrument", instrument, optional=False)
        check_function("TradeJournal", "on_closed", on_closed, optional=False)
        self._on_closed = on_closed
        self._trades = StrategyTrades(instrument, reason=self._reason)
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
        if isinstance(event, TRADE_EVENTS):
            for ended in self._trades.apply(event):
                self.closed.append(ended)
                self._on_closed(ended)
        elif isinstance(event, StrategyDecisionEvent):
            self._on_decision(event)
        elif isinstance(event, ProtectionDecidedEvent):
            self._on_exit(event)
        elif isinstance(event, CommandReceived):
            self._on_command(event)

    def open(self, price: Callable[[str], Price | None] = lambda symbol: None) -> list[RoundTrip]:
        """The open round trips, valued at ``price(symbol)``, or at cost without one; in order of their entry."""
        return self._trades.open(price)

    def pnl(self, strategy_id: str, price: Callable[[str], Price | None] = lambda symbol: None) -> dict[str, Money]:
        """What the trades of a strategy earned after fees, by quote currency, with its open ones valued as in
        ``open``."""
        return self._trades.pnl(strategy_id, price)

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

    def _reason(self, fill: OrderPartiallyFilledEvent | OrderFilledEvent) -> str:
        """The reason of the strategy's decision, or of the command that closed the position, or the price that was
        reached: ``stop``, ``target`` or ``trailing``."""
        exit_order = self._exits.get(fill.order_id)
        if exit_order is not None:
            return _price_reached(exit_order, fill)
        if fill.strategy_id == _RISK:
            return self._commands.get(fill.symbol) or self._commands.get("", "")
        return self._reasons.get(fill.order_id, "")


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

    Open round trips are left out, because their result is not known. Raises ``ConfigError`` for another key.
    """
    if by not in STATISTICS_BY:
        raise ConfigError(f"trade_statistics: by is {by!r}; give one of {', '.join(STATISTICS_BY)}")
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
