"""Our execution in two phases: reserve, execute, then confirm what was filled, or roll back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from tickdeck.domain.aggregates import AggregateRoot
from tickdeck.domain.arguments import check_amount, check_name, check_side
from tickdeck.domain.events import (
    DomainEvent,
    TradeExecutedEvent,
    TradeFailedEvent,
    TradeNeedsReconciliationEvent,
    TradeReservedEvent,
    TwoPhaseTradeEvent,
    trade_stream,
)
from tickdeck.domain.trading.trade_life_cycle import TRADE_FOUND_AFTER_ALL, TRADE_TRANSITIONS, TradeStatus
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side
from tickdeck.errors import InvalidTransition, InvalidValue, format_value

__all__ = ["Trade"]


class Trade(AggregateRoot):
    """One trade with one order. Quantities are in base, prices in quote.

    ``reserve`` comes before the order is sent, and is durable by then. Then exactly one of ``confirm`` and
    ``roll_back`` ends it, or ``doubt`` comes in between if the outcome is unknown. If the order was taken for dead and
    the venue has it after all, ``reopen`` leads back to that doubt. Each raises ``InvalidTransition`` where
    ``TRADE_TRANSITIONS``, or for ``reopen`` ``TRADE_FOUND_AFTER_ALL``, has no such step, and ``InvalidValue`` for an
    amount or a name that makes no sense; nothing has changed then.
    """

    def __init__(self, account_id: str, trade_id: str) -> None:
        super().__init__()
        self.account_id = account_id
        self.trade_id = trade_id
        self.user_id = ""
        self.symbol = ""
        self.side = Side.BUY
        self.quantity: Quantity = ZERO
        self.limit: Price | None = None
        self.order_id = ""
        self.copied_from = ""
        self.status = TradeStatus.NEW
        self.reserved: Money = ZERO
        self.reserved_currency = ""
        self.reserved_ts = 0
        """When it was reserved, ns UTC; 0 before that is saved."""
        self.executed_quantity: Quantity = ZERO
        self.executed_price: Price | None = None
        self.fees: dict[str, Money] = {}
        self.reason = ""

    @property
    def identity(self) -> tuple[str, str]:
        return self.account_id, self.trade_id

    @property
    def stream(self) -> str:
        return trade_stream(self.account_id, self.trade_id)

    # -- decisions ---------------------------------------------------------------------------------------------------

    def create(
        self,
        *,
        symbol: str,
        side: Side,
        quantity: Quantity,
        limit: Price | None,
        order_id: str,
        user_id: str = "",
        copied_from: str = "",
    ) -> Self:
        """Set what the trade is about. This is no event yet: ``reserve`` or ``roll_back`` records it.

        ``quantity`` is in base and ``limit`` in quote, ``None`` for an order at market; both are above 0. ``order_id``
        is the client order id that is sent. Raises ``InvalidValue``.
        """
        self._check(TradeStatus.RESERVED)
        about = f"trade {self.trade_id}"
        check_name("a trade: its trade_id", self.trade_id)
        check_name(f"{about}: its account_id", self.account_id)
        check_name(f"{about}: its symbol", symbol)
        check_side(f"{about}: its side", side)
        check_amount(f"{about}: its quantity", quantity, above=ZERO)
        if limit is not None:
            check_amount(f"{about}: its limit", limit, above=ZERO)
        check_name(f"{about}: its order_id", order_id)
        self.symbol, self.side, self.quantity, self.limit = symbol, side, quantity, limit
        self.order_id, self.user_id, self.copied_from = order_id, user_id, copied_from
        return self

    @classmethod
    def create_copy_trade(
        cls,
        account_id: str,
        trade_id: str,
        *,
        copied_from: str,
        symbol: str,
        side: Side,
        quantity: Quantity,
        limit: Price | None,
        order_id: str,
        user_id: str = "",
    ) -> Self:
        """A new trade of ``account_id`` that copies ``copied_from``."""
        return cls(account_id, trade_id).create(
            symbol=symbol,
            side=side,
            quantity=quantity,
            limit=limit,
            order_id=order_id,
            user_id=user_id,
            copied_from=copied_from,
        )

    def reserve(self, amount: Money, currency: str) -> None:
        """Phase one: ``amount`` units of ``currency``, above 0, are set aside for it."""
        check_amount(f"trade {self.trade_id}: the amount that is reserved", amount, above=ZERO)
        check_name(f"trade {self.trade_id}: the currency that is reserved", currency)
        self._raise(TradeStatus.RESERVED, TradeReservedEvent, reserved=amount, reserved_currency=currency)

    def confirm(self, price: Price, quantity: Quantity, fees: Mapping[str, Money]) -> None:
        """Phase two: it was executed. ``price`` is the average of the fills, ``quantity`` their sum, ``fees`` are by
        currency, negative for a rebate."""
        about = f"trade {self.trade_id}"
        check_amount(f"{about}: the executed price", price, least=ZERO)
        check_amount(f"{about}: the executed quantity", quantity, least=ZERO)
        given: object = fees
        if not isinstance(given, Mapping):
            raise InvalidValue(f"{about}: its fees are {format_value(given)}; give a dict of amounts by currency")
        for name, paid in fees.items():
            check_name(f"{about}: the currency of a fee", name)
            check_amount(f"{about}: the fee in {name}", paid)
        [(currency, fee)] = fees.items() if len(fees) == 1 else [("", ZERO)]
        self._raise(
            TradeStatus.EXECUTED,
            TradeExecutedEvent,
            executed_price=price,
            executed_quantity=quantity,
            fee=fee,
            fee_currency=currency,
            fees=dict(fees),
        )

    def roll_back(self, reason: str) -> None:
        """It was not executed, and never will be."""
        self._raise(TradeStatus.FAILED, TradeFailedEvent, reason=reason)

    def doubt(self, reason: str) -> None:
        """Nobody knows whether it was executed. Does nothing if that is recorded already."""
        if self.status is not TradeStatus.NEEDS_RECONCILIATION:
            self._raise(TradeStatus.NEEDS_RECONCILIATION, TradeNeedsReconciliationEvent, reason=reason)

    def reopen(self, reason: str) -> None:
        """It was rolled back, and its order is open or filled after all: the doubt begins again."""
        if self.status not in TRADE_FOUND_AFTER_ALL:
            raise InvalidTransition(f"trade {self.trade_id} is {self.status}; only a failed one comes back")
        self._record(TradeNeedsReconciliationEvent, reason=reason)

    # -- state -------------------------------------------------------------------------------------------------------

    def apply(self, event: DomainEvent) -> None:
        if not isinstance(event, TwoPhaseTradeEvent):
            return
        self.symbol, self.side, self.quantity, self.limit = event.symbol, event.side, event.quantity, event.limit
        self.order_id, self.user_id, self.copied_from = event.order_id, event.user_id, event.copied_from
        if isinstance(event, TradeReservedEvent):
            self.status, self.reserved_ts = TradeStatus.RESERVED, event.ts
            self.reserved, self.reserved_currency = event.reserved, event.reserved_currency
        elif isinstance(event, TradeExecutedEvent):
            self.status, self.fees = TradeStatus.EXECUTED, dict(event.fees)
            self.executed_price, self.executed_quantity = event.executed_price, event.executed_quantity
        elif isinstance(event, TradeFailedEvent):
            self.status, self.reason = TradeStatus.FAILED, event.reason
        elif isinstance(event, TradeNeedsReconciliationEvent):
            self.status, self.reason = TradeStatus.NEEDS_RECONCILIATION, event.reason

    def _raise(self, status: TradeStatus, kind: type[TwoPhaseTradeEvent], **own: Any) -> None:
        self._check(status)
        self._record(kind, **own)

    def _record(self, kind: type[TwoPhaseTradeEvent], **own: Any) -> None:
        self.raise_event(
            kind(
                trade_id=self.trade_id,
                account_id=self.account_id,
                user_id=self.user_id,
                symbol=self.symbol,
                side=self.side,
                quantity=self.quantity,
                limit=self.limit,
                order_id=self.order_id,
                copied_from=self.copied_from,
                **own,
            )
        )

    def _check(self, status: TradeStatus) -> None:
        if status not in TRADE_TRANSITIONS[self.status]:
            raise InvalidTransition(f"trade {self.trade_id} is {self.status}; it cannot become {status}")
