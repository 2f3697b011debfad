"""The complete state of the engine as a value, so that it can be stored, and restored without its history."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tickdeck.infrastructure.venue.matching.desk import Desk
from tickdeck.infrastructure.venue.matching.engine import MatchingEngine
from tickdeck.infrastructure.venue.matching.market import Market
from tickdeck.infrastructure.venue.matching.orders import Order, OrderList

__all__ = ["EngineState", "capture_engine", "restore_engine"]


class DeskState(msgspec.Struct, frozen=True):
    """A market with its orders by number. ``queue`` are the resting ones, level by level and oldest first; ``newest``
    is the newest order of each account and client id."""

    market: Market
    trades: int
    last_price: Decimal | None
    queue: list[int]
    stops: list[int]
    newest: list[tuple[str, str, int]]


class EngineState(msgspec.Struct, frozen=True):
    """Everything that the engine knows between two calls. Balances are (free, locked) by account and asset."""

    number: int
    executed: int
    orders: list[Order]
    finished: list[int]
    balances: dict[str, dict[str, tuple[Decimal, Decimal]]]
    desks: list[DeskState]
    lists: list[OrderList] = []
    listed: int = 0


def capture_engine(engine: MatchingEngine) -> EngineState:
    """The current state of the engine. It shares its orders with the engine, so encode it before the next call."""
    register = engine._register
    return EngineState(
        number=engine._number,
        executed=engine._matcher.executed,
        orders=list(register.by_number.values()),
        finished=list(register.finished),
        balances={
            account: {asset: (b.free, b.locked) for asset, b in engine.balances.of(account).items()}
            for account in engine.balances.accounts()
        },
        desks=[_capture_desk(desk) for desk in engine._desks.values()],
        lists=list(engine.lists.by_number.values()),
        listed=engine.lists.count,
    )


def _capture_desk(desk: Desk) -> DeskState:
    sides = (desk.book.bids, desk.book.asks)
    return DeskState(
        market=desk.market,
        trades=desk.trades,
        last_price=desk.last_price,
        queue=[order.number for side in sides for level in side.from_best() for order in level.resting()],
        stops=list(desk.stops),
        newest=[(name, key, o.number) for name, seat in desk.seats.items() for key, o in seat.by_client.items()],
    )


def restore_engine(engine: MatchingEngine, state: EngineState) -> None:
    """Give a new engine a captured state. Markets that the state does not contain are unchanged."""
    engine._number = state.number
    engine._matcher.executed = state.executed
    register = engine._register
    register.by_number.update((order.number, order) for order in state.orders)
    register.finished.extend(state.finished)
    engine.lists.by_number.update((found.number, found) for found in state.lists)
    engine.lists.count = state.listed
    for account, assets in state.balances.items():
        for asset, (free, locked) in assets.items():
            holding = engine.balances.holding(account, asset)
            holding.free, holding.locked = free, locked
    for saved in state.desks:
        engine.set_market(saved.market)
        _restore_desk(engine._desks[saved.market.symbol], saved, register.by_number)


def _restore_desk(desk: Desk, saved: DeskState, orders: dict[int, Order]) -> None:
    desk.trades, desk.last_price = saved.trades, saved.last_price
    for account, client_id, number in saved.newest:
        desk.seat(account).by_client[client_id] = orders[number]
    for number in saved.queue:
        order = orders[number]
        assert order.price is not None
        (desk.book.bids if order.is_buy else desk.book.asks).add(order, order.price)
    desk.book.take_changed()  # these changes were published before
    desk.stops.update((number, orders[number]) for number in saved.stops)
    for number in sorted([*saved.queue, *saved.stops]):
        desk.seat(orders[number].account).working[number] = orders[number]
