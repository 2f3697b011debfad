"""Which orders the paper venue takes, how it works them, and what they lock."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tickdeck.domain.events import OrderAmendRequestedEvent, OrderSubmittedEvent
from tickdeck.domain.market import Instrument, Matcher, WorkingOrder
from tickdeck.domain.values import ZERO, Money, OrderType, Price, Quantity, Side, TimeInForce
from tickdeck.infrastructure.exchanges.paper.config import PaperConfig
from tickdeck.infrastructure.exchanges.paper.tickets import EndedTicket, Ticket

__all__ = ["Admission"]

_PROTECTION = Decimal("1.05")
"""The most that a market buy pays while it waits for prices, as a multiple of the last price. This much is locked."""


class Admission:
    """Checks what arrives at the venue. ``owners``: the accounts by name. ``closed``: why a symbol is not traded now;
    empty if it is. The venue goes on to change what it gives here."""

    def __init__(
        self,
        config: PaperConfig,
        instruments: Mapping[str, Instrument],
        matchers: Mapping[str, Matcher],
        owners: Mapping[str, PaperConfig],
        closed: Mapping[str, str],
    ) -> None:
        self._config = config
        self._instruments = instruments
        self._matchers = matchers
        self._closed = closed
        # Of its cost, what a buy of each account needs, and the same with its fee.
        self._share = {
            name: owner.margin.initial(Decimal(1)) if owner.margin else Decimal(1) for name, owner in owners.items()
        }
        fee = max(config.maker_fee, config.taker_fee)
        self._with_fee = {name: share + fee for name, share in self._share.items()}
        # On candles, an order that protects a fill counts from the open before that fill, or before the cancel of the
        # order that it replaces: a report and another order lie between.
        self._reaction_ns = config.ack_latency_ns + config.order_latency_ns + 3 * config.jitter_ns

    def refusal(self, request: OrderSubmittedEvent, ticket: Ticket, now: int) -> str | None:
        """Why the venue does not take the order, in words; ``None`` if it does. ``ticket`` says what it locks."""
        instrument = self._instruments.get(request.symbol)
        if instrument is None:
            return f"symbol {request.symbol} is not traded here"
        if request.account_id not in self._share:
            return f"account {request.account_id} is not known here"
        if request.limit is None and request.time_in_force is TimeInForce.POST_ONLY:
            return "a market order cannot be post only"
        if closed := self._closed.get(request.symbol):
            return f"{request.symbol} is not traded now: {closed}"
        matcher = self._matchers[request.symbol]
        reference = request.limit if request.limit is not None else request.stop
        if reference is None:
            reference = matcher.liquidity.reference(request.side)
        if reference is None:
            return f"no price of {request.symbol} is known yet"
        violation = instrument.violation(request.order_type, request.quantity, reference)
        if violation is None and request.stop is not None:
            violation = instrument.violation(OrderType.LIMIT, request.quantity, request.stop)
        if violation is not None:
            return violation
        if request.reduce_only:
            most = ticket.account.reducible(instrument, request.side)
            if request.quantity > most:
                return f"reduce only: {request.quantity} is more than the {most} that it could close"
        self.set_terms(request, ticket, now, reference)
        need, free = self.need(ticket, request.quantity), ticket.account.free(ticket.currency)
        if need > max(free, ZERO):  # what needs nothing may owe
            return f"insufficient balance: {need} {ticket.currency} needed, {free} free"
        return None

    def amend_refusal(self, request: OrderAmendRequestedEvent, ticket: Ticket | EndedTicket | None) -> str | None:
        """Why the venue leaves the order unchanged, in words; ``None`` if it changes it."""
        if isinstance(ticket, EndedTicket) and ticket.had_terms:
            return f"the order is {ticket.status.value}"
        if not isinstance(ticket, Ticket) or ticket.order is None:
            return f"the venue has no order {request.order_id}"
        order, symbol = ticket.order, ticket.symbol
        if closed := self._closed.get(symbol):
            return f"{symbol} is not traded now: {closed}"
        if ticket.request.stop is not None:
            return "an order with a stop cannot be amended"
        if order.limit is None or order.time_in_force not in (TimeInForce.GTC, TimeInForce.POST_ONLY):
            return "only limit orders that may rest can be amended"
        if request.quantity <= ticket.filled:
            return f"{ticket.filled} is filled already"
        violation = self._instruments[symbol].violation(ticket.request.order_type, request.quantity, request.limit)
        if violation is not None:
            return violation
        if order.time_in_force is TimeInForce.POST_ONLY and self._matchers[symbol].takes(order.side, request.limit):
            return f"post only: {request.limit} would take"
        by_limit = order.side is Side.BUY or ticket.account.margin is not None
        unit = request.limit * self._with_fee[ticket.account_id] if by_limit else ticket.unit
        need = self.need(ticket, request.quantity - ticket.filled, unit)
        free = ticket.account.free(ticket.currency) + ticket.account.locked_by(request.order_id)
        if need > max(free, ZERO):  # an order that needs nothing may leave a debt
            return f"insufficient balance: {need} {ticket.currency} needed, {free} free"
        return None

    def set_terms(self, request: OrderSubmittedEvent, ticket: Ticket, now: int, reference: Price) -> None:
        """Say how the order is worked, and what a unit of it locks."""
        instrument, matcher = self._instruments[request.symbol], self._matchers[request.symbol]
        margin, with_fee = ticket.account.margin, self._with_fee[request.account_id]
        ticket.order = WorkingOrder(
            order_id=request.order_id,
            side=request.side,
            quantity=request.quantity,
            arrival=now - self._config.feed_latency_ns - (self._reaction_ns if request.protects else 0),
            limit=request.limit,
            time_in_force=request.time_in_force,
            stop=request.stop,
        )
        if margin is not None:
            ticket.currency = instrument.quote
            if request.side is Side.SELL:
                ticket.worst = max(reference, matcher.liquidity.reference(Side.SELL) or reference)
            else:
                closes = request.quantity <= -margin.position(request.symbol).quantity
                ticket.worst = self._worst_price(ticket, matcher, instrument, reference, covers=closes)
            ticket.unit = ticket.worst * with_fee
        elif request.side is Side.SELL:
            ticket.currency = instrument.base
            ticket.unit = ZERO if self._config.short_selling else Decimal(1)
        else:
            ticket.currency = instrument.quote
            # Buying back what is owed must always be possible, whatever is left to pay it with.
            covers = request.reduce_only and request.quantity <= -ticket.account.total(instrument.base)
            ticket.worst = self._worst_price(ticket, matcher, instrument, reference, covers=covers)
            ticket.unit = ZERO if covers else ticket.worst * with_fee

    def _worst_price(
        self, ticket: Ticket, matcher: Matcher, instrument: Instrument, reference: Price, *, covers: bool
    ) -> Price:
        """The highest price (quote) that this buy can come to pay. ``covers``: it buys back what is owed."""
        order = ticket.order
        assert order is not None
        if order.stop is not None:
            return order.stop * _PROTECTION
        if order.limit is not None:
            return order.limit
        if matcher.liquidity.displayed:
            return matcher.worst_price(order.side, order.quantity) or reference
        if covers:
            return reference  # at any price
        # Its prices are unknown in advance. It may pay what is free, up to the protection.
        with_fee = self._with_fee[ticket.account_id]
        affordable = ticket.account.free(instrument.quote) / (order.quantity * with_fee)
        affordable -= affordable % instrument.tick_size
        order.worst = max(min(reference * _PROTECTION, affordable), reference)
        return order.worst

    def need(self, ticket: Ticket, remaining: Quantity, unit: Money | None = None) -> Money:
        """What the rest of an order locks. In a margin account, closing a position needs nothing."""
        unit = ticket.unit if unit is None else unit
        margin = ticket.account.margin
        if margin is None:
            return unit * remaining
        request = ticket.request
        closing = margin.reserve_closing(request.symbol, request.order_id, request.side, remaining)
        return unit * (remaining - closing)

    def reprice(self, ticket: Ticket, limit: Price) -> None:
        """Lock by another limit from now on."""
        assert ticket.order is not None
        if ticket.order.side is Side.BUY or ticket.account.margin is not None:
            ticket.worst = limit
            ticket.unit = limit * self._with_fee[ticket.account_id]

    def without_fee(self, ticket: Ticket, need: Money, remaining: Quantity) -> Money:
        """What the rest of a buy locks for its cost, of the ``need`` that includes its fee."""
        if ticket.account.margin is None:
            return ticket.worst * remaining
        name = ticket.account_id
        return need / self._with_fee[name] * self._share[name]
