"""A run's core with several accounts, a leader that the test plays, and a venue that answers as the test says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from application_kit import BTC, SECOND, START, D, MemoryTape, trade

from tickdeck.application.engines import CopyEngine, VenueGateway
from tickdeck.application.kernel import Agenda, Kernel
from tickdeck.bootstrap.core import Core
from tickdeck.bootstrap.new_run import prepare
from tickdeck.domain.events import (
    DomainEvent,
    NotificationAlert,
    OrderAmendRequestedEvent,
    OrderCancelRequestedEvent,
    OrderSubmittedEvent,
    RunStarted,
    TwoPhaseTradeEvent,
    VenueBalanceReported,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.values import ZERO, OrderStatus, Side
from tickdeck.infrastructure.config import config_from_dict

BOB = {"follower": "bob"}


class Tip(DomainEvent, frozen=True, kw_only=True):
    """A trade of a leader outside of the run."""

    event_type: ClassVar[str] = "test.tip"
    symbol: str = BTC
    side: str
    quantity: Decimal
    price: Decimal
    stop: Decimal | None = None


class Venue:
    """Keeps what was sent to it, by order id."""

    name = "scripted"
    simulated = True

    def __init__(self) -> None:
        self.orders: dict[str, OrderSubmittedEvent] = {}
        self.cancels: list[str] = []

    def submit(self, order: OrderSubmittedEvent) -> None:
        self.orders[order.order_id] = order

    def amend(self, request: OrderAmendRequestedEvent) -> None:
        raise AssertionError("nothing amends")

    def cancel(self, request: OrderCancelRequestedEvent) -> None:
        self.cancels.append(request.order_id)


class Rig:
    """``copies`` are tables ``[[copy]]`` without their leader. Each follower has 10,000 USDT, unless ``cash`` says
    otherwise. ``limits`` are those of the whole run."""

    def __init__(self, *copies: dict[str, Any], cash: str = "10000", limits: dict[str, Any] | None = None) -> None:
        followers = [copy["follower"] for copy in copies]
        config = config_from_dict(
            {
                "strategies": [{"spec": "ema-cross", "account": "idle"}],
                "accounts": {name: {"exchange": "paper"} for name in ("idle", *followers)},
                "copy": [{"leader": "event:test.tip", **copy} for copy in copies],
                "risk": {"max_orders_per_second": "none", "price_band": "none"},
                **({"limits": limits} if limits else {}),
            }
        )
        prepared = prepare(config)
        self.tape, self.agenda = MemoryTape(), Agenda()
        self.kernel = Kernel(tape=self.tape, agenda=self.agenda)
        self.core = Core(prepared.config, prepared.manifest, prepared.strategies, self.kernel)
        self.venue = Venue()
        for account in self.core.accounts:
            VenueGateway(account.bus, self.venue)
        self._trades = 0
        self.feed(RunStarted(ts=START, ts_ingress=START, source="driver"))
        for name in followers:
            self.feed(VenueBalanceReported(account_id=name, currency="USDT", total=D(cash), source="scripted"))
            self.feed(VenueBalanceReported(account_id=name, currency="BTC", total=D(0), source="scripted"))
        self.feed(trade("100", ts=self.kernel.clock.now() + 1))

    def feed(self, event: DomainEvent) -> None:
        self.kernel.feed(event)

    def wait(self, seconds: float) -> None:
        """Let time pass: timers fire."""
        until = self.kernel.clock.now() + int(seconds * SECOND)
        while (entry := self.agenda.pop(until)) is not None:
            entry[1]()
        self.feed(trade("100", ts=until))

    def tip(self, side: str, quantity: str, price: str = "100", **more: Any) -> None:
        self.feed(Tip(side=side, quantity=D(quantity), price=D(price), **more))

    def open_orders(self, account: str = "") -> list[OrderSubmittedEvent]:
        """What waits at the venue for an answer, oldest first."""
        found = []
        for order in self.venue.orders.values():
            known = self.core.account(order.account_id).execution.orders[order.order_id]
            if known.is_open and account in ("", order.account_id):
                found.append(order)
        return found

    def fill(
        self,
        order: OrderSubmittedEvent,
        quantity: Decimal | None = None,
        *,
        price: Decimal | None = None,
        fee: Decimal = ZERO,
    ) -> None:
        self._trades += 1
        self.feed(
            VenueFillReported(
                order_id=order.order_id,
                symbol=order.symbol,
                account_id=order.account_id,
                side=Side(order.side),
                price=price or order.limit or D(100),
                quantity=order.quantity if quantity is None else quantity,
                venue_trade_id=str(self._trades),
                fee=fee,
                source="scripted",
            )
        )

    def report(self, order: OrderSubmittedEvent, status: OrderStatus, filled: Decimal = ZERO) -> None:
        self.feed(
            VenueOrderReported(
                order_id=order.order_id,
                symbol=order.symbol,
                account_id=order.account_id,
                status=status,
                filled=filled,
                reason="as the test says",
                source="scripted",
            )
        )

    def trades(self, account: str) -> list[TwoPhaseTradeEvent]:
        return [e for e in self.tape.events if isinstance(e, TwoPhaseTradeEvent) and e.account_id == account]

    def outcomes(self, account: str) -> list[tuple[str, str]]:
        """Type and reason of each event of the account's trades."""
        return [(e.event_type.removeprefix("trade."), getattr(e, "reason", "")) for e in self.trades(account)]

    def held(self, account: str) -> Decimal:
        return self.core.account(account).portfolio.quantity(BTC)

    def copier(self, account: str) -> CopyEngine:
        return next(copy for copy in self.core.copies if copy._portfolio.account_id == account)


def alerts(rig: Rig) -> list[str]:
    return [event.text for event in rig.tape.events if isinstance(event, NotificationAlert)]
