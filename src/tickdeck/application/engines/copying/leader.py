"""The leader whose trades are copied: a strategy, an account of the run, or events of a type."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tickdeck.domain.events import (
    DomainEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    VenueExternalFillReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT, LeaderTrade
from tickdeck.domain.values import Price, Quantity, Side

__all__ = ["Leader"]

_FILLS = (OrderPartiallyFilledEvent, OrderFilledEvent)


class Leader:
    """``strategy:ID``: the fills of a strategy. ``account:NAME``: all fills of an account, also of orders that others
    placed there. ``event:TYPE``: events with the fields ``symbol``, ``side``, ``quantity`` and ``price``, and ``stop``
    if they like.

    ``stop_of(event)`` is the stop of the order that was filled, if it has one.
    """

    def __init__(
        self, name: str, instrument: Callable[[str], Instrument], stop_of: Callable[[Any], Price | None]
    ) -> None:
        self.kind, _, self.who = name.partition(":")
        self._instrument = instrument
        self._stop_of = stop_of

    @property
    def topics(self) -> tuple[type[DomainEvent] | str, ...]:
        """What to subscribe to."""
        if self.kind == "event":
            return (self.who,)
        return (*_FILLS, VenueExternalFillReported) if self.kind == "account" else _FILLS

    def leads(self, event: Any) -> bool:
        """Whether ``event`` is a trade of the leader."""
        if self.kind == "event":
            return bool(event.event_type == self.who)
        if isinstance(event, VenueExternalFillReported):
            return self.kind == "account" and event.account_id == self.who
        return isinstance(event, _FILLS) and self.who == (
            event.account_id if self.kind == "account" else event.strategy_id
        )

    def trade(self, event: Any) -> LeaderTrade:
        """The trade in ``event``. Raises ``ValueError`` if the event says none."""
        if self.kind == "event":
            return _told(event)
        number = event.venue_trade_id or event.event_id
        return LeaderTrade(
            trade_id=f"{event.order_id}-{number}" if event.order_id else f"{event.symbol}-{number}",
            symbol=event.symbol,
            side=event.side,
            quantity=event.quantity,
            price=event.price,
            stop=self._stop_of(event),
        )

    def received(self, event: Any) -> Quantity:
        """How the trade changes the leader's position (base): its fee may be taken from it."""
        change = EXACT.multiply(event.quantity, Decimal(Side(event.side).sign))
        currency = getattr(event, "fee_currency", "")
        if currency and currency == self._instrument(event.symbol).base:
            change = EXACT.subtract(change, event.fee)
        return change


def _told(event: Any) -> LeaderTrade:
    told = event.event_type
    stop = getattr(event, "stop", None)
    if stop is not None:
        stop = _amount(event, "stop")
    try:
        side = Side(getattr(event, "side", ""))
    except ValueError:
        raise ValueError(f"{told}: a leader's event needs a side, buy or sell") from None
    symbol = str(getattr(event, "symbol", ""))
    if not symbol:
        raise ValueError(f"{told}: a leader's event needs a symbol")
    return LeaderTrade(
        trade_id=event.event_id,
        symbol=symbol,
        side=side,
        quantity=_amount(event, "quantity"),
        price=_amount(event, "price"),
        stop=stop,
    )


def _amount(event: Any, name: str) -> Decimal:
    value = getattr(event, name, None)
    if not isinstance(value, Decimal) or not value.is_finite() or value <= 0:
        raise ValueError(f"{event.event_type}: {name} is {value!r}; a leader's event needs a Decimal above 0")
    return value
