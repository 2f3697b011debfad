"""What protects the positions of a run with real orders after it has ended."""

from __future__ import annotations

from collections.abc import Mapping

from tickdeck.application.engines.protection_book import ProtectionBook
from tickdeck.domain.trading import Order, Protection
from tickdeck.domain.values import OrderStatus, plain

__all__ = ["remarks_on_protection", "rests"]

_AT_THE_VENUE = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)


def rests(order: Order, book: ProtectionBook) -> bool:
    """Whether ``order`` is a stop or a target that protects a position at the venue, and nothing is about to end it."""
    p = book.protections.get(order.protects) if order.protects else None
    if p is None or p.exit is None or p.exit.order_id != order.order_id or p.exit.will_end:
        return False
    return order.status in _AT_THE_VENUE and not order.missing


def remarks_on_protection(book: ProtectionBook, orders: Mapping[str, Order], at: str) -> list[str]:
    """A line for each protected position: the order that was left ``at`` the venue, or that there is none."""
    return [_remark(p, orders, book, at) for p in book.live() if p.held]


def _remark(p: Protection, orders: Mapping[str, Order], book: ProtectionBook, at: str) -> str:
    position = f"{plain(p.held)} {p.symbol} of {p.strategy_id or 'the account'}"
    order = orders.get(p.exit.order_id) if p.exit is not None else None
    if p.exit is None or order is None:
        return (
            f"nothing protects {p.symbol} from now on: the run itself watched the price for {position}; "
            "resume the run, or close the position"
        )
    if not rests(order, book):
        return f"order {order.order_id} of {position} is not settled, so perhaps nothing protects it; resume the run"
    prices: list[str] = []
    if p.exit.stop is not None:
        prices.append(f"stop {plain(p.exit.stop)}" + (", which no longer follows the price" if p.exit.trails else ""))
    if p.exit.target is not None:
        prices.append(f"target {plain(p.exit.target)}")
    text = f"order {order.order_id} stays at {at} and protects {position}: {', '.join(prices)}"
    target = p.target()
    if target is None or p.exit.target is not None:
        return text
    return f"{text}; nothing watches the target {plain(target)}"
