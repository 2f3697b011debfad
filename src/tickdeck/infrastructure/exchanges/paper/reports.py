"""The reports of the paper venue, and when they reach us."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tickdeck.domain.accounts import MarginTerms
from tickdeck.domain.events import (
    DomainEvent,
    OrderAmendRequestedEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    VenueBalanceReported,
    VenueCancelRefused,
    VenueFillReported,
    VenueLiquidationReported,
    VenueMarginCallReported,
    VenueOrderReported,
)
from tickdeck.domain.market import Fill, Instrument
from tickdeck.domain.trading import Position
from tickdeck.domain.values import ZERO, Money, OrderStatus, Price, Quantity, Side
from tickdeck.infrastructure.exchanges.paper.account import PaperAccount
from tickdeck.infrastructure.exchanges.paper.config import PaperConfig
from tickdeck.infrastructure.exchanges.paper.tickets import EndedTicket, Ticket

__all__ = ["Reports"]


class Reports:
    """Creates the venue's reports and schedules each for the time at which it arrives. They arrive in the order in
    which things happened. ``now`` is the time on our axis at which something happened. ``jitter()`` is called once per
    report.
    """

    def __init__(
        self,
        config: PaperConfig,
        source: str,
        schedule: Callable[[int, Callable[[], None]], object],
        report: Callable[[DomainEvent], None],
        jitter: Callable[[], int],
    ) -> None:
        self._config = config
        self._source = source
        self._schedule = schedule
        self._report = report
        self._jitter = jitter
        self._last_due = 0

    def order(self, cause: OrderEvent, ticket: Ticket | EndedTicket, now: int, reason: str = "") -> None:
        """Report the state of the order of ``cause``, which is what the report answers."""
        self._send(
            VenueOrderReported(
                order_id=cause.order_id,
                symbol=ticket.symbol,
                account_id=ticket.account_id,
                user_id=ticket.user_id,
                status=ticket.status,
                filled=ticket.filled,
                venue_order_id=ticket.venue_order_id,
                reason=reason,
                **self._envelope(cause, now),
            )
        )

    def amend(
        self, request: OrderAmendRequestedEvent, ticket: Ticket | EndedTicket | None, now: int, refusal: str = ""
    ) -> None:
        """Answer an amend: confirmed, or refused with a reason."""
        self._send(
            VenueOrderReported(
                order_id=request.order_id,
                symbol=request.symbol,
                account_id=request.account_id,
                user_id=request.user_id,
                status=ticket.status if ticket is not None else OrderStatus.UNKNOWN,
                filled=ticket.filled if ticket is not None else ZERO,
                venue_order_id=ticket.venue_order_id if ticket is not None else "",
                reason=refusal,
                revision=request.revision,
                quantity=None if refusal else request.quantity,
                limit=None if refusal else request.limit,
                **self._envelope(request, now),
            )
        )

    def cancel_refused(self, request: OrderCancelRequestedEvent, now: int, reason: str) -> None:
        """Refuse a cancel of an order that the venue does not know. This says nothing about the order."""
        self._send(
            VenueCancelRefused(
                order_id=request.order_id,
                symbol=request.symbol,
                account_id=request.account_id,
                user_id=request.user_id,
                reason=reason,
                **self._envelope(request, now),
            )
        )

    def fill(self, ticket: Ticket, fill: Fill, now: int, *, trade_id: str, fee: Money, currency: str) -> None:
        """Report a fill; ``fee`` is in ``currency``."""
        request = ticket.request
        self._send(
            VenueFillReported(
                order_id=request.order_id,
                symbol=request.symbol,
                account_id=request.account_id,
                user_id=request.user_id,
                side=request.side,
                price=fill.price,
                quantity=fill.quantity,
                venue_trade_id=trade_id,
                fee=fee,
                fee_currency=currency,
                liquidity=fill.liquidity,
                venue_order_id=ticket.venue_order_id,
                **self._envelope(request, now),
            )
        )

    def margin_call(
        self,
        position: Position,
        terms: MarginTerms,
        instrument: Instrument,
        price: Price,
        now: int,
        *,
        owner: PaperConfig,
    ) -> None:
        """Warn that a position of ``owner`` is close to its liquidation, with the market at ``price``."""
        self._send(
            VenueMarginCallReported(
                symbol=position.symbol,
                account_id=owner.account_id,
                user_id=owner.user_id,
                quantity=position.quantity,
                price=price,
                equity=terms.equity(position, price),
                requirement=terms.requirement(position, price),
                liquidation_price=terms.liquidation_price(position, instrument.tick_size),
                currency=instrument.quote,
                **self._envelope(None, now),
            )
        )

    def liquidation(
        self,
        instrument: Instrument,
        side: Side,
        price: Price,
        quantity: Quantity,
        fee: Money,
        trade_id: str,
        now: int,
        *,
        owner: PaperConfig,
    ) -> None:
        """Report that the venue closed a position of ``owner``."""
        self._send(
            VenueLiquidationReported(
                symbol=instrument.symbol,
                account_id=owner.account_id,
                user_id=owner.user_id,
                side=side,
                price=price,
                quantity=quantity,
                fee=fee,
                fee_currency=instrument.quote,
                order_id=f"liquidation-{trade_id}",
                venue_trade_id=trade_id,
                **self._envelope(None, now),
            )
        )

    def balance(self, currency: str, ts: int, account: PaperAccount, owner: PaperConfig) -> None:
        """Report a balance of ``account``, whose name and owner ``owner`` has, at ``ts``."""
        event = VenueBalanceReported(
            account_id=owner.account_id,
            user_id=owner.user_id,
            currency=currency,
            total=account.total(currency),
            locked=account.locked(currency),
            ts=ts,
            ts_ingress=ts,
            source=self._source,
        )
        self._schedule(ts, partial(self._report, event))

    def _envelope(self, cause: OrderEvent | None, now: int) -> dict[str, Any]:
        """The envelope of a report, whose ``cause`` is an order's event, or the market. Each is due no earlier than the
        one before."""
        happened = now - self._config.feed_latency_ns
        self._last_due = max(happened + self._config.ack_latency_ns + self._jitter(), self._last_due)
        envelope = {"ts": happened, "ts_ingress": self._last_due, "source": self._source}
        if cause is None:
            return envelope
        return envelope | {"causation_id": cause.event_id, "correlation_id": cause.correlation_id or cause.event_id}

    def _send(self, event: DomainEvent) -> None:
        self._schedule(event.ts_ingress, partial(self._report, event))
