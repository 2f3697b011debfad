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
from tickdeck.domain.market import CandleOpen, Ended, Fill, Instrument, Matcher, Outcome
from tickdeck.domain.trading import Order, Position
from tickdeck.domain.values import ZERO, OrderStatus, Price, Side, TimeInForce
from tickdeck.infrastructure.exchanges.paper.account import (
    PaperAccount,
    begins_with,
    coin_quote,
    fee_of,
    start_balances,
)
from tickdeck.infrastructure.exchanges.paper.admission import Admission
from tickdeck.infrastructure.exchanges.paper.config import PaperConfig, assumptions_of
from tickdeck.infrastructure.exchanges.paper.margin import PaperMargin, check_balances, prices_to_close
from tickdeck.infrastructure.exchanges.paper.past import VenuePast
from tickdeck.infrastructure.exchanges.paper.reports import Reports
from tickdeck.infrastructure.exchanges.paper.tickets import EndedTicket, Ticket, Tickets

__all__ = ["PaperConfig", "PaperVenue"]


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

    ``others`` are further accounts, of which only the name, the owner, the balances and the terms of the margin count.
    All orders of all accounts share what the record offers, and none trades with another.
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
        self._closed: dict[str, str] = {}  # why a symbol is not traded now
        self._rng = random.Random(f"paper venue {seed}")
        self._schedule = schedule
        self._reports = Reports(config, self.name, schedule, report, self._jitter)
        self._last_arrival = 0
        self._orders_taken = 0
        self._trades = 0
        self._tickets = Tickets()
        self.accounts = {name: self._new_account(owner) for name, owner in self._owners.items()}
        self._margins = tuple(one.margin for one in self.accounts.values() if one.margin is not None)
        grace = config.feed_latency_ns + config.order_latency_ns + config.jitter_ns
        self._matchers = {
            symbol: Matcher(instrument, participation=config.participation, candle_grace_ns=grace)
            for symbol, instrument in self._instruments.items()
        }
        self._admission = Admission(config, self._instruments, self._matchers, self._owners, self._closed)
        # By type, then by symbol: one look-up each for every market event.
        self._handlers: dict[type, dict[str, Callable[[Any], Sequence[Outcome]]]] = {}
        for symbol, matcher in self._matchers.items():
            for event_type, handler in matcher.handlers.items():
                self._handlers.setdefault(event_type, {})[symbol] = handler
        self._handlers[VenueInstrumentReported] = dict.fromkeys(self._instruments, self._on_instrument)

    def _new_account(self, owner: PaperConfig) -> PaperAccount:
        balances = dict.fromkeys((i.base for i in self._instruments.values()), ZERO)
        balances |= start_balances(self._instruments.values(), owner.default_balance)
        margin = None
        if owner.margin is not None:
            check_balances(self._instruments.values(), owner)
            margin = PaperMargin(owner, owner.margin, self._instruments)
        return PaperAccount(balances | owner.balances, margin=margin)

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
            self.accounts[name] = PaperAccount(totals, bought, new.margin)
            if new.margin is not None:
                new.margin.take_up(account.positions, past.called.get(name, {}))
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
        if self._margins and isinstance(event, CandleEvent | CandleOpen):
            for margin in self._margins:
                if not self._has_stop(margin, symbol):
                    self._check_margin(margin, symbol, event)  # what stood before, at the bad side of the candle
        outcomes = handler(event)
        if outcomes:
            self._settle(symbol, outcomes, event.ts_ingress)
        for margin in self._margins:
            self._check_margin(margin, symbol, event)

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
        return assumptions_of(*self._owners.values())

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
        refusal = self._admission.refusal(request, ticket, now)
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
        ticket.account.lock(order.order_id, ticket.currency, self._admission.need(ticket, order.quantity))
        self._settle(request.symbol, outcomes, now)

    def _amend_arrives(self, request: OrderAmendRequestedEvent, now: int) -> None:
        ticket = self._tickets.get(request.order_id)
        refusal = self._admission.amend_refusal(request, ticket)
        if refusal is not None or not isinstance(ticket, Ticket):
            self._reports.amend(request, ticket, now, f"amend refused: {refusal}")
            return
        self._admission.reprice(ticket, request.limit)
        outcomes = self._matchers[ticket.symbol].amend(
            request.order_id, request.quantity, request.limit, now - self._config.feed_latency_ns
        )
        self._reports.amend(request, ticket, now)
        need = self._admission.need(ticket, request.quantity - ticket.filled)
        ticket.account.lock(request.order_id, ticket.currency, need)
        self._settle(ticket.symbol, outcomes, now)

    def _cancel_arrives(self, request: OrderCancelRequestedEvent, now: int) -> None:
        ticket = self._tickets.get(request.order_id)
        if ticket is None:
            self._reports.cancel_refused(request, now, f"the venue has no order {request.order_id}")
        elif isinstance(ticket, EndedTicket) or ticket.status.is_final:
            self._reports.order(request, ticket, now, f"cancel refused: the order is {ticket.status.value}")
        else:
            self._matchers[ticket.symbol].cancel(request.order_id)
            ticket.status = OrderStatus.CANCELLED
            ticket.account.lock(request.order_id, ticket.currency, ZERO)
            self._reports.order(request, ticket, now)
            self._close(ticket)

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
        self._admission.set_terms(rest, ticket, now, reference)
        order = ticket.order
        assert order is not None
        order.quantity, order.filled = known.quantity, known.filled
        ticket.filled, ticket.venue_order_id, ticket.status = known.filled, known.venue_order_id, known.status
        ticket.account.lock(order.order_id, ticket.currency, self._admission.need(ticket, order.remaining))
        self._settle(request.symbol, matcher.submit(order, again=True), now)

    def price(self, symbol: str) -> Price | None:
        """The best price for a buy of ``symbol``, or the last one; ``None`` if none is known yet."""
        return self._matchers[symbol].liquidity.reference(Side.BUY)

    # -- outcomes -----------------------------------------------------------------------------------------------

    def _settle(self, symbol: str, outcomes: Sequence[Outcome], now: int) -> None:
        for outcome in outcomes:
            ticket = self._tickets.get_open(outcome.order.order_id)
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
        if account.margin is not None:
            account.margin.fill(symbol, order.side, fill.price, fill.quantity)
        need = self._admission.need(ticket, remaining)
        reserve = self._admission.without_fee(ticket, need, remaining)
        fee = account.settle(instrument, order.side, fill.price, fill.quantity, fee, reserve=reserve)
        lock = max(min(need, account.free(ticket.currency)), ZERO)
        account.lock(order.order_id, ticket.currency, lock)
        ticket.status = OrderStatus.PARTIALLY_FILLED if remaining else OrderStatus.FILLED
        if not remaining:
            self._close(ticket)
        self._trades += 1
        self._reports.fill(ticket, fill, now, trade_id=str(self._trades), fee=fee, currency=instrument.quote)

    def _close(self, ticket: Ticket) -> None:
        self._tickets.close(ticket)
        if ticket.account.margin is not None:
            ticket.account.margin.release(ticket.symbol, ticket.request.order_id)

    # -- margin -------------------------------------------------------------------------------------------------

    def _has_stop(self, margin: PaperMargin, symbol: str) -> bool:
        """Whether an order of the account waits at a stop, which a price on its way to the liquidation reaches
        first."""
        tickets = map(self._tickets.get_open, margin.open_orders(symbol))
        return any(ticket is not None and ticket.request.stop is not None for ticket in tickets)

    def _check_margin(self, margin: PaperMargin, symbol: str, event: DomainEvent | CandleOpen) -> None:
        """Warn of a position's liquidation, or liquidate it, at the price at which it could be closed now."""
        position, liquidity = margin.position(symbol), self._matchers[symbol].liquidity
        if position.is_flat:
            return
        prices = prices_to_close(position, event, liquidity)
        if prices is None:
            return
        worst, market = prices
        if margin.terms.liquidates(position, worst):
            self._liquidate(margin, position, market, event.ts_ingress)
        elif margin.calls(symbol, worst):
            instrument, owner = self._instruments[symbol], margin.owner
            self._reports.margin_call(position, margin.terms, instrument, worst, event.ts_ingress, owner=owner)

    def _liquidate(self, margin: PaperMargin, position: Position, market: Price, now: int) -> None:
        """Cancel all orders of the account in the symbol, and close its position. It loses no more than its margin."""
        terms, symbol, account = margin.terms, position.symbol, self.accounts[margin.owner.account_id]
        instrument = self._instruments[symbol]
        for order_id in margin.open_orders(symbol):
            ticket = self._tickets.get_open(order_id)
            assert ticket is not None
            self._matchers[symbol].cancel(order_id)
            ticket.status = OrderStatus.CANCELLED
            account.lock(order_id, ticket.currency, ZERO)
            self._reports.order(ticket.request, ticket, now, "the position is liquidated")
            self._close(ticket)
        price = terms.exit_price(position, market, instrument.tick_size)
        side = Side.SELL if position.quantity > 0 else Side.BUY
        quantity = abs(position.quantity)
        fee = fee_of(price * quantity, self._config.taker_fee, instrument.fee_step)
        fee = min(fee, fee_of(max(terms.equity(position, price), ZERO), Decimal(1), instrument.fee_step))
        margin.fill(symbol, side, price, quantity)
        fee = account.settle(instrument, side, price, quantity, fee, reserve=ZERO)
        self._trades += 1
        trade_id, owner = str(self._trades), margin.owner
        self._reports.liquidation(instrument, side, price, quantity, fee, trade_id, now, owner=owner)

    def _jitter(self) -> int:
        return self._rng.randrange(self._config.jitter_ns + 1)


def _is_target(pair: OrderSubmittedEvent, price: Price) -> bool:
    """Whether a pair was filled at its target."""
    assert pair.limit is not None
    return (price - pair.limit) * pair.side.sign <= 0
