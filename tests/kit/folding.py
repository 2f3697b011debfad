"""State that is folded from events, compared with the live objects that published them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tickdeck.application.engines import ExecutionEngine, PortfolioEngine, RiskEngine, StrategyEngine
from tickdeck.application.engines.protection_book import ProtectionBook
from tickdeck.domain.accounts import Account
from tickdeck.domain.events import (
    BalanceEvent,
    DomainEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionLiquidatedEvent,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.events.orders import OrderEvent
from tickdeck.domain.risk import CountedOrder, DailyLoss, Exposure, OrderRate, TypicalOrder
from tickdeck.domain.trading import ExitOrder, Order, Ownership, PausedStrategies, Position, Protection
from tickdeck.domain.values import Side


def state_of(thing: object) -> dict[str, Any]:
    """The complete state of an order, a position or an account as plain values, by name."""
    return {name: _plain(getattr(thing, name)) for name in type(thing).__slots__}  # type: ignore[attr-defined]


def _plain(value: Any) -> Any:
    if isinstance(value, Position | Order | CountedOrder | Protection | ExitOrder):
        return state_of(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def assert_folds(
    events: Iterable[DomainEvent],
    *,
    execution: ExecutionEngine,
    portfolio: PortfolioEngine,
    risk: RiskEngine,
    strategies: StrategyEngine,
) -> None:
    """Assert that the state of the engines equals the state folded from their events."""
    tape = list(events)
    streams: dict[str, list[DomainEvent]] = {}
    for event in tape:
        if isinstance(event, OrderEvent | VenueOrderReported | VenueFillReported):
            streams.setdefault(event.order_id, []).append(event)
    for order_id, order in execution.orders.items():
        assert state_of(Order.fold(streams[order_id])) == state_of(order)
    account = portfolio.account
    folded = Account.fold(tape, account.account_id, account.quote, account.user_id, account.homes)
    assert state_of(folded) == state_of(account)
    for symbol, position in account.positions.items():
        assert state_of(Position.fold(symbol, tape, account.account_id)) == state_of(position)
    assert_risk_folds(tape, risk)
    assert PausedStrategies.fold(tape) == strategies.paused


def assert_risk_folds(tape: Sequence[DomainEvent], risk: RiskEngine) -> None:
    exposure = risk.exposure
    assert exposure_of(Exposure.fold(tape, exposure.base, exposure.homes)) == exposure_of(exposure)
    if risk.losses.daily_loss is not None:
        assert DailyLoss.fold(risk.losses.daily_loss.limit, tape).start_equity == risk.losses.daily_loss.start_equity
    assert protections_of(risk.protections.book) == protections_of(folded_protections(tape, exposure))
    if risk.rate is not None:
        assert OrderRate.fold(risk.rate.max_per_second, tape).sent == risk.rate.sent
    if risk.typical is not None:
        assert TypicalOrder.fold(risk.typical.multiple, tape).recent == risk.typical.recent


_FROM_PRICES = ("best", "is_suspended", "timer_id", "waited")  # what no event of a protection or an order tells


def folded_protections(tape: Iterable[DomainEvent], exposure: Exposure) -> ProtectionBook:
    counted = Exposure(exposure.base, exposure.homes)
    owners: dict[str, Ownership] = {}
    book = ProtectionBook(counted, lambda: {symbol: shares.copy() for symbol, shares in owners.items()})
    for event in tape:
        counted.apply_event(event)
        _own(owners, event, exposure)
        book.recall(event)
    return book


def _own(owners: dict[str, Ownership], event: DomainEvent, exposure: Exposure) -> None:
    if isinstance(event, OrderPartiallyFilledEvent | OrderFilledEvent | PositionLiquidatedEvent):
        change = event.quantity * event.side.sign
        owner = ""
        if not isinstance(event, PositionLiquidatedEvent):
            owner = event.strategy_id
            change -= event.fee if event.fee_currency == exposure.base(event.symbol) else 0
        owners.setdefault(event.symbol, Ownership()).take(owner, change)
    elif isinstance(event, BalanceEvent) and event.deposit and event.currency in exposure.homes:
        owners.setdefault(exposure.homes[event.currency], Ownership()).pay(event.deposit)


def protections_of(book: ProtectionBook) -> dict[str, Any]:
    """What is protected and how, and who holds it, as plain values."""
    return {"owners": {symbol: (owned.unowned, owned._held) for symbol, owned in book._owners.items()}} | {
        protection_id: {name: value for name, value in state_of(p).items() if name not in _FROM_PRICES}
        for protection_id, p in book.protections.items()
    }


def exposure_of(exposure: Exposure) -> dict[str, Any]:
    """The state of ``exposure`` as plain values."""
    symbols = {order.symbol: None for order in exposure.orders.values()} | dict.fromkeys(exposure.positions)
    return {
        "positions": exposure.positions,
        "orders": _plain(exposure.orders),
        "open": [order.order_id for order in exposure.open_orders()],
        "counts": {symbol: exposure.count(symbol) for symbol in symbols} | {"": exposure.count()},
        "working": {(symbol, side): exposure.working(symbol, side) for symbol in symbols for side in Side},
        "staying": {(symbol, side): exposure.staying(symbol, side) for symbol in symbols for side in Side},
        "beyond": {symbol: [order.order_id for order in exposure.beyond(symbol)] for symbol in symbols},
    }
