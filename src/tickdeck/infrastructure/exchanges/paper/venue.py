"""The paper venue: takes orders like a real one, and fills them against the public record of the market.

All times are on the axis of our own receive time, like the market data. An order sent at ``t`` meets the record at ``t
+ order_latency + feed_latency``. This was the venue's book when the order arrived, because the feed takes
``feed_latency`` to reach us. A report on something that happens at ``x`` arrives at ``x - feed_latency + ack_latency``.
Orders and cancels arrive in the order in which they were sent, and reports in the order in which things happened.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from tickdeck.domain.accounts import Account
from tickdeck.domain.events import (
    CandleEvent,
    DomainEvent,
    OrderAmendRequestedEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderSubmittedEvent,
    VenueInstrumentReported,
)
from tickdeck.domain.market import CandleOpen, Ended, Fill, Instrument, Matcher, Outcome, WorkingOrder
from tickdeck.domain.trading import Order, Position
from tickdeck.domain.values import ZERO, Money, OrderStatus, OrderType, Price, Quantity, Side, TimeInForce
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exchanges.paper.account import (
    PaperAccount,
    begins_with,
    coin_quote,
    fee_of,
    start_balances,
)
from tickdeck.infrastructure.exchanges.paper.config import PaperConfig, assumptions_of
from tickdeck.infrastructure.exchanges.paper.margin import PaperMargin
from tickdeck.infrastructure.exchanges.paper.past import VenuePast
from tickdeck.infrastructure.exchanges.paper.reports import Reports
from tickdeck.infrastructure.exchanges.paper.tickets import Ticket, Tickets

__all__ = ["PaperConfig", "PaperVenue"]

_PROTECTION = Decimal("1.05")
"""The most that a market buy pays while it waits for prices, as a multiple of the last price. This much is locked."""


class PaperVenue:
    """An exchange in our own process.

    ``schedule(due_ns, action)`` runs ``action`` when the run's clock reaches ``due_ns``. Actions of the same time run
    in the order in which they were scheduled. ``report(event)`` receives the venue's reports. It is only called from
    scheduled actions. ``ts`` of a report is the venue's time, ``ts_ingress`` the time when it arrives, and its cause is
    the order or the cancel that it answers.

    The venue reports an order as accepted or rejected, then its fills, then expired or cancelled. After the last fill
    of a filled order there is no further report. A repeated ``order_id`` changes nothing, and neither does a cancel or
    an amend of an order that is not open: the answer is the order's state with a reason. The venue remembers all open
    orders and the last 10,000 that ended. Equal seeds and inputs give equal reports.

    ``others`` are further accounts, of which only the name, the owner and the balances count. All orders of all
    accounts share what the record offers, and none trades with another.
    """

    name = "paper"
    simulated = True

    def __init__(
        self,
        *,
        config: PaperConfig,
        instruments: Mapping[str, Instrument],
        seed: int,
        schedule: Callable[[int, Callable[[], None]], object],
        report: Callable[[DomainEvent], None],
        others: Sequence[PaperConfig] = (),
    ) -> None:
        self._config = config
        self._owners = {owner.account_id: owner for owner in (config, *others)}
        self._instruments = dict(instruments)
        terms = config.margin
        self._margin = PaperMargin(terms, self._instruments) if terms is not None else None
        self._share = terms.initial(Decimal(1)) if terms is not None else Decimal(1)  # of its cost, what a buy needs
        self._with_fee = self._share + max(config.maker_fee, config.taker_fee)
        self._closed: dict[str, str] = {}  # why a symbol is not traded now
        self._rng = random.Random(f"paper venue {seed}")
        self._schedule = schedule
        self._reports = Reports(config, self.name, schedule, report, self._jitter)
        self._last_arrival = 0
        self._orders_taken = 0
        self._trades = 0
        self._tickets = Tickets()
        if self._margin is not None:
            _check_balances(self._instruments.values(), config)
        self._credit = self._margin.credit if self._margin is not None else None
        self.accounts = {name: self._new_account(owner) for name, owner in self._owners.items()}
        # On candles, an order that protects a fill counts from the open before that fill, or before the cancel of the
        # order that it replaces: a report and another order lie between.
        self._reaction_ns = config.ack_latency_ns + config.order_latency_ns + 3 * config.jitter_ns
        grace = config.feed_latency_ns + config.order_latency_ns + config.jitter_ns
        self._matchers = {
            symbol: Matcher(instrument, participation=config.participation, candle_grace_ns=grace)
            for symbol, instrument in self._instruments.items()
        }
        # By type, then by symbol: one look-up each for every market event.
        self._handlers: dict[type, dict[str, Callable[[Any], Sequence[Outcome]]]] = {}
        for symbol, matcher in self._matchers.items():
            for event_type, handler in matcher.handlers.items():
                self._handlers.setdefault(event_type, {})[symbol] = handler
        self._handlers[VenueInstrumentReported] = dict.fromkeys(self._instruments, self._on_instrument)

    def _new_account(self, owner: PaperConfig) -> PaperAccount:
        balances = dict.fromkeys((i.base for i in self._instruments.values()), ZERO)
        balances |= start_balances(self._instruments.values(), owner.default_balance)
        return PaperAccount(balances | owner.balances, credit=self._credit)

    @property
    def account(self) -> PaperAccount:
        """The account of ``config``."""
        return self.accounts[self._config.account_id]

    # -- the port -----------------------------------------------------------------------------------------------

    def start(self, ts: int) -> None:
        """Report the balances of each account at ``ts``, by currency. Call it once, before anything else."""
        for name, account in self.accounts.items():
            for currency in account.currencies:
                self._reports.balance(currency, ts, account, self._owners[name])

    def take_up(self, past: VenuePast, orders: Mapping[str, Order], accounts: Iterable[Account], ts: int) -> None:
        """Continue at ``ts`` after a past that another process recorded, instead of ``start``. ``on_market`` has seen
        the market of that past. ``orders`` and ``accounts`` are as the run knows them.

        What the venue had not reported is as if it had not happened: an open order goes on with what is unfilled, at
        the back of the queue at its price, and a request without an answer arrives once more.
        """
        self._orders_taken, self._trades = past.orders, past.trades
        for account in accounts:
            name = account.account_id
            new = self.accounts[name]
            missing = [currency for currency in new.currencies if currency not in account.balances]
            bought = {symbol: position.quantity for symbol, position in account.positions.items()}
            totals = {c: new.total(c) for c in missing} | account.balances
            self.accounts[name] = PaperAccount(totals, bought, self._credit)
            if self._margin is not None:
                self._margin.take_up(account.positions, past.called)
            for currency in missing:
                self._reports.balance(currency, ts, self.accounts[name], self._owners[name])
        for order_id, request in past.submitted.items():
            order = orders.get(order_id)
            if order is not None and order.is_open:
                self._work_again(request, order, ts)
        for again in past.unanswered:
            again = msgspec.structs.replace(again, ts_ingress=ts)
            if isinstance(again, OrderSubmittedEvent):
                self.submit(again)
            elif isinstance(again, OrderAmendRequestedEvent):
                self.amend(again)
            else:
                self.cancel(again)

    def on_market(self, event: DomainEvent | CandleOpen) -> None:
        """Take one event of the record, in order of ``ts_ingress``.

        Symbols without an instrument, and events that show no liquidity, are ignored.
        """
        try:
            symbol = event.symbol  # type: ignore[union-attr]
            handler = self._handlers[type(event)][symbol]
        except (AttributeError, KeyError):
            return
        if self._margin is not None and isinstance(event, CandleEvent | CandleOpen) and not self._has_stop(symbol):
            self._check_margin(symbol, event)  # what stood before, at the bad side of the candle
        outcomes = handler(event)
        if outcomes:
            self._settle(symbol, outcomes, event.ts_ingress)
        if self._margin is not None:
            self._check_margin(symbol, event)

    def _on_instrument(self, report: VenueInstrumentReported) -> Sequence[Outcome]:
        """The venue that this market belongs to has changed its steps, limits or status: trade by them from now on."""
        self._instruments[report.symbol] = msgspec.structs.replace(
            self._instruments[report.symbol],
            tick_size=report.tick_size,
            lot_size=report.lot_size,
            min_quantity=report.min_quantity,
            max_quantity=report.max_quantity,
            min_notional=report.min_notional,
        )
        self._closed[report.symbol] = "" if report.status == "trading" else report.status
        return ()

    def submit(self, order: OrderSubmittedEvent) -> None:
        """Send an order; it arrives ``order_latency`` later."""
        due = self._arrival(order)
        self._schedule(due, partial(self._order_arrives, order, due))

    def amend(self, request: OrderAmendRequestedEvent) -> None:
        """Send an amend; it arrives ``order_latency`` later, never before its order."""
        due = self._arrival(request)
        self._schedule(due, partial(self._amend_arrives, request, due))

    def cancel(self, request: OrderCancelRequestedEvent) -> None:
        """Send a cancel; it arrives ``order_latency`` later, never before its order."""
        due = self._arrival(request)
        self._schedule(due, partial(self._cancel_arrives, request, due))

    def assumptions(self) -> tuple[str, ...]:
        """The assumptions behind the fills of this venue, in plain sentences."""
        return assumptions_of(self._config)

    def begins_with(self) -> str | None:
        """One line about unconfigured balances, if they are in coins."""
        coin = coin_quote(list(self._instruments.values()))
        if coin is None or coin in self._config.balances:
            return None
        return begins_with(coin, self.account.total(coin))

    # -- arrivals -----------------------------------------------------------------------------------------------

    def _arrival(self, sent: OrderEvent) -> int:
        config = self._config
        due = sent.ts_ingress + config.order_latency_ns + config.feed_latency_ns + self._jitter()
        self._last_arrival = max(due, self._last_arrival)
        return self._last_arrival

    def _order_arrives(self, request: OrderSubmittedEvent, now: int) -> None:
        known = self._tickets.get(request.order_id)
        if known is not None:
            self._reports.order(request, known, now, f"order id {request.order_id} was used before; order ignored")
            return
        ticket = self._tickets.open(request, self.accounts.get(request.account_id, self.account))
        refusal = self._refusal(request, ticket, now)
        if refusal is not None:
            self._reports.order(request, ticket, now, refusal)
            self._close(ticket)
            return
        order = ticket.order
        assert order is not None
        self._orders_taken += 1
        ticket.venue_order_id = str(self._orders_taken)
        outcomes = self._matchers[request.symbol].submit(order)
        if not (outcomes and isinstance(outcomes[0], Ended) and outcomes[0].status is OrderStatus.REJECTED):
            ticket.status = OrderStatus.ACCEPTED
            self._reports.order(request, ticket, now)
        ticket.account.lock(order.order_id, ticket.currency, self._need(ticket, order.quantity))
        self._settle(request.symbol, outcomes, now)

    def _amend_arrives(self, request: OrderAmendRequestedEvent, now: int) -> None:
        ticket = self._tickets.get(request.order_id)
        refusal = self._amend_refusal(request, ticket)
        if ticket is None or refusal is not None:
            self._reports.amend(request, ticket, now, f"amend refused: {refusal}")
            return
        order = ticket.order
        assert order is not None
        if order.side is Side.BUY or self._margin is not None:
            ticket.worst = request.limit
            ticket.unit = request.limit * self._with_fee
        outcomes = self._matchers[ticket.request.symbol].amend(
            request.order_id, request.quantity, request.limit, now - self._config.feed_latency_ns
        )
        self._reports.amend(request, ticket, now)
        ticket.account.lock(request.order_id, ticket.currency, self._need(ticket, request.quantity - ticket.filled))
        self._settle(ticket.request.symbol, outcomes, now)

    def _amend_refusal(self, request: OrderAmendRequestedEvent, ticket: Ticket | None) -> str | None:
        """Why the venue leaves the order unchanged, in words; ``None`` if it changes it."""
        if ticket is None or ticket.order is None:
            return f"the venue has no order {request.order_id}"
        if ticket.status.is_final:
            return f"the order is {ticket.status.value}"
        order, symbol = ticket.order, ticket.request.symbol
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
        by_limit = order.side is Side.BUY or self._margin is not None
        unit = request.limit * self._with_fee if by_limit else ticket.unit
        need = self._need(ticket, request.quantity - ticket.filled, unit)
        free = ticket.account.free(ticket.currency) + ticket.account.locked_by(request.order_id)
        if need > max(free, ZERO):  # an order that needs nothing may leave a debt
            return f"insufficient balance: {need} {ticket.currency} needed, {free} free"
        return None

    def _cancel_arrives(self, request: OrderCancelRequestedEvent, now: int) -> None:
        ticket = self._tickets.get(request.order_id)
        if ticket is None:
            self._reports.cancel_refused(request, now, f"the venue has no order {request.order_id}")
        elif ticket.status.is_final:
            self._reports.order(request, ticket, now, f"cancel refused: the order is {ticket.status.value}")
        else:
            self._matchers[ticket.request.symbol].cancel(request.order_id)
            ticket.status = OrderStatus.CANCELLED
            ticket.account.lock(request.order_id, ticket.currency, ZERO)
            self._reports.order(request, ticket, now)
            self._close(ticket)

    def _refusal(self, request: OrderSubmittedEvent, ticket: Ticket, now: int) -> str | None:
        """Why the venue does not take the order, in words; ``None`` if it does. ``ticket`` says what it locks."""
        instrument = self._instruments.get(request.symbol)
        if instrument is None:
            return f"symbol {request.symbol} is not traded here"
        if request.account_id not in self.accounts:
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
        self._set_terms(request, ticket, now, reference)
        need, free = self._need(ticket, request.quantity), ticket.account.free(ticket.currency)
        if need > max(free, ZERO):  # what needs nothing may owe
            return f"insufficient balance: {need} {ticket.currency} needed, {free} free"
        return None

    def _work_again(self, request: OrderSubmittedEvent, known: Order, now: int) -> None:
        """Go on with the unfilled part of an order that was open in a restored past. A ``post_only`` order
        rested already, so it is not refused any more."""
        rest = msgspec.structs.replace(
            request,
            quantity=known.remaining,
            limit=known.limit,
            time_in_force=TimeInForce.GTC if known.limit is not None else request.time_in_force,
        )
        if known.filled and rest.stop is not None:  # a fill of one price ended the other
            sold_at = known.average_price
            at_target = rest.limit is not None and sold_at is not None and _is_target(rest, sold_at)
            rest = msgspec.structs.replace(rest, stop=None, limit=rest.limit if at_target else None)
        ticket = self._tickets.open(request, self.accounts[request.account_id])
        matcher = self._matchers[request.symbol]
        reference = rest.limit if rest.limit is not None else matcher.liquidity.reference(rest.side)
        if reference is None:  # a market order before the first price
            return
        self._set_terms(rest, ticket, now, reference)
        order = ticket.order
        assert order is not None
        order.quantity, order.filled = known.quantity, known.filled
        ticket.filled, ticket.venue_order_id, ticket.status = known.filled, known.venue_order_id, known.status
        ticket.account.lock(order.order_id, ticket.currency, self._need(ticket, order.remaining))
        self._settle(request.symbol, matcher.submit(order, again=True), now)

    def price(self, symbol: str) -> Price | None:
        """The best price for a buy of ``symbol``, or the last one; ``None`` if none is known yet."""
        return self._matchers[symbol].liquidity.reference(Side.BUY)

    def _set_terms(self, request: OrderSubmittedEvent, ticket: Ticket, now: int, reference: Price) -> None:
        """Say how the order is worked, and what a unit of it locks."""
        instrument, matcher = self._instruments[request.symbol], self._matchers[request.symbol]
        ticket.order = WorkingOrder(
            order_id=request.order_id,
            side=request.side,
            quantity=request.quantity,
            arrival=now - self._config.feed_latency_ns - (self._reaction_ns if request.protects else 0),
            limit=request.limit,
            time_in_force=request.time_in_force,
            stop=request.stop,
        )
        if self._margin is not None:
            ticket.currency = instrument.quote
            if request.side is Side.SELL:
                ticket.worst = max(reference, matcher.liquidity.reference(Side.SELL) or reference)
            else:
                closes = request.quantity <= -self._margin.position(request.symbol).quantity
                ticket.worst = self._worst_price(ticket, matcher, instrument, reference, covers=closes)
            ticket.unit = ticket.worst * self._with_fee
        elif request.side is Side.SELL:
            ticket.currency = instrument.base
            ticket.unit = ZERO if self._config.short_selling else Decimal(1)
        else:
            ticket.currency = instrument.quote
            # Buying back what is owed must always be possible, whatever is left to pay it with.
            covers = request.reduce_only and request.quantity <= -ticket.account.total(instrument.base)
            ticket.worst = self._worst_price(ticket, matcher, instrument, reference, covers=covers)
            ticket.unit = ZERO if covers else ticket.worst * self._with_fee

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
        affordable = ticket.account.free(instrument.quote) / (order.quantity * self._with_fee)
        affordable -= affordable % instrument.tick_size
        order.worst = max(min(reference * _PROTECTION, affordable), reference)
        return order.worst

    # -- outcomes -----------------------------------------------------------------------------------------------

    def _settle(self, symbol: str, outcomes: Sequence[Outcome], now: int) -> None:
        for outcome in outcomes:
            ticket = self._tickets.get(outcome.order.order_id)
            assert ticket is not None
            if isinstance(outcome, Fill):
                self._settle_fill(symbol, ticket, outcome, now)
            else:
                ticket.status = outcome.status
                ticket.account.lock(outcome.order.order_id, ticket.currency, ZERO)
                self._reports.order(ticket.request, ticket, now, outcome.reason)
                self._close(ticket)

    def _settle_fill(self, symbol: str, ticket: Ticket, fill: Fill, now: int) -> None:
        instrument, order, account = self._instruments[symbol], fill.order, ticket.account
        rate = self._config.maker_fee if fill.liquidity == "maker" else self._config.taker_fee
        fee = fee_of(fill.price * fill.quantity, rate, instrument.fee_step)
        ticket.filled += fill.quantity
        remaining = order.quantity - ticket.filled
        account.lock(order.order_id, ticket.currency, ZERO)
        if self._margin is not None:
            self._margin.fill(symbol, order.side, fill.price, fill.quantity)
        need = self._need(ticket, remaining)
        without_fee = need / self._with_fee * self._share if self._margin is not None else ticket.worst * remaining
        fee = account.settle(instrument, order.side, fill.price, fill.quantity, fee, reserve=without_fee)
        lock = max(min(need, account.free(ticket.currency)), ZERO)
        account.lock(order.order_id, ticket.currency, lock)
        ticket.status = OrderStatus.PARTIALLY_FILLED if remaining else OrderStatus.FILLED
        if not remaining:
            self._close(ticket)
        self._trades += 1
        self._reports.fill(ticket, fill, now, trade_id=str(self._trades), fee=fee, currency=instrument.quote)

    def _close(self, ticket: Ticket) -> None:
        self._tickets.close(ticket)
        if self._margin is not None:
            self._margin.release(ticket.request.symbol, ticket.request.order_id)

    # -- margin -------------------------------------------------------------------------------------------------

    def _need(self, ticket: Ticket, remaining: Quantity, unit: Money | None = None) -> Money:
        """What the rest of an order locks. In a margin account, closing a position needs nothing."""
        unit = ticket.unit if unit is None else unit
        if self._margin is None:
            return unit * remaining
        request = ticket.request
        closing = self._margin.reserve_closing(request.symbol, request.order_id, request.side, remaining)
        return unit * (remaining - closing)

    def _has_stop(self, symbol: str) -> bool:
        """Whether an order waits at a stop, which a price on its way to the liquidation reaches first."""
        assert self._margin is not None
        tickets = map(self._tickets.get, self._margin.open_orders(symbol))
        return any(ticket is not None and ticket.request.stop is not None for ticket in tickets)

    def _check_margin(self, symbol: str, event: DomainEvent | CandleOpen) -> None:
        """Warn of a position's liquidation, or liquidate it, at the price at which it could be closed now."""
        assert self._margin is not None
        position, liquidity = self._margin.position(symbol), self._matchers[symbol].liquidity
        if position.is_flat:
            return
        long = position.quantity > 0
        if isinstance(event, CandleEvent) and (liquidity.only_candles or not liquidity.last_candle):
            # It went through every price of its range.
            worst, market = (event.low if long else event.high), event.open
        elif isinstance(event, CandleOpen):
            worst = market = event.price
        else:
            shown = liquidity.reference(Side.SELL if long else Side.BUY)
            if shown is None:
                return
            worst = market = shown
        if self._margin.terms.liquidates(position, worst):
            self._liquidate(position, market, event.ts_ingress)
        elif self._margin.calls(symbol, worst):
            instrument = self._instruments[symbol]
            self._reports.margin_call(position, self._margin.terms, instrument, worst, event.ts_ingress)

    def _liquidate(self, position: Position, market: Price, now: int) -> None:
        """Cancel all orders of the symbol, and close its position. It loses no more than its margin."""
        assert self._margin is not None
        terms, symbol = self._margin.terms, position.symbol
        instrument = self._instruments[symbol]
        for order_id in self._margin.open_orders(symbol):
            ticket = self._tickets.get(order_id)
            assert ticket is not None
            self._matchers[symbol].cancel(order_id)
            ticket.status = OrderStatus.CANCELLED
            self.account.lock(order_id, ticket.currency, ZERO)
            self._reports.order(ticket.request, ticket, now, "the position is liquidated")
            self._close(ticket)
        price = terms.exit_price(position, market, instrument.tick_size)
        side = Side.SELL if position.quantity > 0 else Side.BUY
        quantity = abs(position.quantity)
        fee = fee_of(price * quantity, self._config.taker_fee, instrument.fee_step)
        fee = min(fee, fee_of(max(terms.equity(position, price), ZERO), Decimal(1), instrument.fee_step))
        self._margin.fill(symbol, side, price, quantity)
        fee = self.account.settle(instrument, side, price, quantity, fee, reserve=ZERO)
        self._trades += 1
        self._reports.liquidation(instrument, side, price, quantity, fee, str(self._trades), now)

    def _jitter(self) -> int:
        return self._rng.randrange(self._config.jitter_ns + 1)


def _is_target(pair: OrderSubmittedEvent, price: Price) -> bool:
    """Whether a pair was filled at its target."""
    assert pair.limit is not None
    return (price - pair.limit) * pair.side.sign <= 0


def _check_balances(instruments: Iterable[Instrument], config: PaperConfig) -> None:
    coins = {instrument.base: instrument for instrument in instruments if config.balances.get(instrument.base)}
    for coin, instrument in coins.items():
        raise ConfigError(
            f"paper venue: a margin account begins with {instrument.quote} alone, but balances has {coin}; remove it, "
            "or remove leverage"
        )
