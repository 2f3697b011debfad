"""Which positions are protected, how much of each is left, and which orders wait for them. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import msgspec

from tickdeck.domain.events import (
    ActionIntent,
    BalanceEvent,
    DomainEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionLiquidatedEvent,
    ProtectionDecidedEvent,
    ProtectionEndedEvent,
    ProtectionEvent,
    ProtectionGuardedEvent,
    ProtectionSetEvent,
    ProtectionYieldedEvent,
    RiskApprovedEvent,
    RiskLimitBreachedEvent,
    StrategyDecisionEvent,
)
from tickdeck.domain.risk import CountedOrder, Exposure
from tickdeck.domain.trading import EXACT, ExitOrder, ExitPlan, Ownership, ProtectedLots, Protection, position_change
from tickdeck.domain.values import ZERO, Quantity, Side

__all__ = ["ProtectionBook"]

_ACCOUNT = ""  # stands for a strategy where the account's own position is protected
_CLOSE_ALL = ("risk", "operator")  # whose orders may close the positions of every strategy
_ENDED_KEPT = 1_000
_EXITS_KEPT = 10_000
_REACHED = ("stop", "target", "trailing", "exit")

Group: TypeAlias = tuple[str, str, Side]
"""A strategy, a symbol, and the side of the orders that close its positions there."""


class _Held(NamedTuple):
    """An order of a strategy that waits. ``closed`` (base): what exit orders of its group had closed before."""

    intent: ActionIntent
    closed: Quantity


class ProtectionBook:
    """All protections, oldest first, from the events of orders and of the protections themselves.

    ``exposure`` counts positions and open orders, and has counted each event before this does. ``owners()`` returns
    what each strategy holds, by symbol. It is asked until something is protected; from then on, this follows all fills
    and payments itself. The last 1,000 protections that ended are kept, because a fill of their entry may arrive late.
    """

    def __init__(self, exposure: Exposure, owners: Callable[[], dict[str, Ownership]] = dict) -> None:
        self._exposure = exposure
        self._owners_before = owners
        self._owners: dict[str, Ownership] = {}  # by symbol, since something is protected
        self.protections: dict[str, Protection] = {}
        """By the id of the entry order."""
        self._live: dict[str, dict[str, Protection]] = {}  # by symbol and id
        self._ended: dict[str, None] = {}
        self._exits: dict[str, Protection] = {}  # by the id of the exit order
        self._closed: dict[Group, Quantity] = {}  # by exit orders
        self._held_back: dict[Group, dict[str, _Held]] = {}  # by the id of the waiting order

    # -- queries -----------------------------------------------------------------------------------------------------

    def live(self) -> Iterator[Protection]:
        """Those that have not ended."""
        for symbol in self._live:
            yield from self.of(symbol)

    def of(self, symbol: str) -> list[Protection]:
        """Those in a symbol that have not ended, oldest first."""
        return list(self._live.get(symbol, {}).values())

    def group(self, strategy_id: str, symbol: str, exit_side: Side) -> list[Protection]:
        """Those that orders of ``exit_side`` of a strategy close. Orders of the operator and of the risk engine close
        those of every strategy, and a position of the account that the operator protects is closed by those of every
        strategy."""
        return [p for p in self.of(symbol) if p.exit_side is exit_side and _closes(strategy_id, p)]

    def others(self, p: Protection) -> list[CountedOrder]:
        """The open orders that close positions like ``p`` but are no exit orders."""
        return [order for order in self._closing(p) if _closes(order.strategy_id, p)]

    def _closing(self, p: Protection) -> list[CountedOrder]:
        """Those of all strategies."""
        return [
            order
            for order in self._exposure.open_in(p.symbol)
            if order.side is p.exit_side and order.order_id not in self._exits and self._may_close(order.order_id)
        ]

    def _may_close(self, order_id: str) -> bool:
        """Whether an open order counts as one that closes positions. An entry with a stop of its own does if there was
        something to close when it was sent; two entries that wait on both sides of the price do not close each
        other."""
        entry = self.protections.get(order_id)
        return entry is None or entry.closes

    def free(self, p: Protection) -> Quantity:
        """What an exit order of ``p`` may close (base). Other orders that close positions come first. All of them and
        all exit orders together never close more than is held."""
        held = self._held_after_others(p)
        room = ZERO
        for other in self.of(p.symbol):
            if other.side is p.side:
                room = EXACT.add(room, held[other.protection_id])
                if other.exit is not None and other is not p:
                    room = EXACT.subtract(room, other.exit.remaining)
        return max(min(held[p.protection_id], room), ZERO)

    def _held_after_others(self, p: Protection) -> dict[str, Quantity]:
        """What is left of the protections like ``p`` when the open orders that are no exit orders have closed what they
        may (base, by id). What a strategy sells beyond its own position counts only if it could close ``p``."""
        closing = self._closing(p)
        if not closing:
            return {other.protection_id: other.held for other in self.of(p.symbol)}
        owners, position = self._owners_of(p.symbol).copy(), self._exposure.position(p.symbol)
        lots = ProtectedLots(self.of(p.symbol), owners)
        for order in closing:
            quantity = order.exposure
            if not _closes(order.strategy_id, p):
                quantity = min(quantity, max(owners.of(order.strategy_id) * p.side.sign, ZERO))
            if quantity:
                signed = EXACT.multiply(quantity, p.exit_side.sign)
                lots.close(order.strategy_id, signed)
                position = EXACT.add(position, signed)
        lots.bound(position)
        return lots.held

    def unprotected(self, symbol: str) -> Quantity:
        """What of the account's position no protection holds (base)."""
        position = self._exposure.position(symbol)
        room = abs(position)
        for p in self.of(symbol):
            if p.side.sign * position > 0:
                room = EXACT.subtract(room, p.held)
        return max(room, ZERO)

    def _owners_of(self, symbol: str) -> Ownership:
        owners = self._owners if self.protections else self._owners_before()
        return owners.get(symbol) or Ownership()

    def is_exit(self, order_id: str) -> bool:
        """Whether an open order is the stop or the target of a position."""
        return order_id in self._exits

    def must_yield(self, strategy_id: str, intent: ActionIntent) -> bool:
        """Whether an order must wait for exit orders of its strategy."""
        side = intent.side
        if side is None or not self._live.get(intent.symbol):
            return False
        return any(p.exit is not None for p in self.group(strategy_id, intent.symbol, side))

    def is_held_back(self, p: Protection) -> bool:
        """Whether an order of the strategy waits for exit orders like that of ``p``."""
        return any(
            symbol == p.symbol and side is p.exit_side and _closes(strategy_id, p)
            for strategy_id, symbol, side in self._held_back
        )

    # -- changes -----------------------------------------------------------------------------------------------------

    def add(self, event: ProtectionSetEvent) -> Protection:
        """Begin a protection, or protect a position in another way."""
        p = self.protections.get(event.protection_id)
        if p is not None:
            p.set_terms(event.terms)
        else:
            if not self.protections:
                self._owners = self._owners_before()
            p = self.protections[event.protection_id] = Protection(event)
            p.closes = any(other.held for other in self.group(p.strategy_id, p.symbol, p.side))
            self._live.setdefault(p.symbol, {})[p.protection_id] = p
        return p

    def to_exit(self, strategy_id: str, protection_id: str) -> Protection | None:
        """The protection that a strategy may have closed at once; ``None`` if there is no such thing."""
        p = self.protections.get(protection_id)
        return None if p is None or p.ended or p.strategy_id != strategy_id else p

    def decide(self, event: ProtectionDecidedEvent) -> None:
        """Note a decision."""
        p, intent = self.protections[event.protection_id], event.intent
        if event.reason in _REACHED:
            p.record(event.reason)
        if intent.action == "order":
            p.exit = ExitOrder(intent.order_id, ExitPlan(intent.quantity, intent.stop, intent.limit, event.trails))
            p.is_told = False
            self._exits[intent.order_id] = p
            if len(self._exits) > _EXITS_KEPT:
                self._forget_exits()
        elif p.exit is not None and p.exit.order_id == intent.order_id:
            p.exit.is_leaving = True

    def _forget_exits(self) -> None:
        """Forget the oldest half of the exit orders, except those that are open."""
        for order_id in list(self._exits)[: _EXITS_KEPT // 2]:
            order = self._exits[order_id].exit
            if order is None or order.order_id != order_id:
                del self._exits[order_id]

    def hold(self, strategy_id: str, intent: ActionIntent) -> None:
        """An order waits until exit orders have ended."""
        assert intent.side is not None
        group = (strategy_id, intent.symbol, intent.side)
        self._held_back.setdefault(group, {})[intent.order_id] = _Held(intent, self._closed_of(group))

    def take_back(self, strategy_id: str, order_id: str) -> ActionIntent | None:
        """An order of a strategy that waits is cancelled. Returns it, ``None`` if none with this id waits."""
        for group, waiting in self._held_back.items():
            if group[0] == strategy_id and order_id in waiting:
                held = waiting.pop(order_id)
                if not waiting:
                    del self._held_back[group]
                return held.intent
        return None

    def released(self, symbol: str) -> list[tuple[str, ActionIntent]]:
        """The orders whose wait is over, less what exit orders closed meanwhile. An order of which nothing is left has
        the quantity 0."""
        if not self._held_back:
            return []
        found: list[tuple[str, ActionIntent]] = []
        for group in [group for group in self._held_back if group[1] == symbol]:
            if any(p.exit is not None for p in self.group(*group)):
                continue
            for intent, before in self._held_back.pop(group).values():
                closed = EXACT.subtract(self._closed_of(group), before)
                quantity = max(EXACT.subtract(intent.quantity, closed), ZERO)
                found.append((group[0], msgspec.structs.replace(intent, quantity=quantity) if closed else intent))
        return found

    def _closed_of(self, group: Group) -> Quantity:
        """What exit orders have closed so far in a group."""
        strategy_id, *rest = group
        total = ZERO
        for (whose, *where), closed in self._closed.items():
            if where == rest and (whose in (strategy_id, _ACCOUNT) or strategy_id in _CLOSE_ALL):
                total = EXACT.add(total, closed)
        return total

    def suspend(self, symbol: str) -> list[tuple[str, ActionIntent]]:
        """An operator closes the positions of a symbol, or of all. Returns the orders that waited; they are no longer
        needed."""
        for p in self.live():
            if symbol in ("", p.symbol):
                p.is_suspended = True
        return [
            (group[0], waiting.intent)
            for group in [group for group in self._held_back if symbol in ("", group[1])]
            for waiting in self._held_back.pop(group).values()
        ]

    def end(self, p: Protection) -> None:
        """Nothing is left to protect. Only a fill of its entry that arrives late leads back."""
        p.end()
        self._live.get(p.symbol, {}).pop(p.protection_id, None)
        self._ended[p.protection_id] = None
        if len(self._ended) > _ENDED_KEPT:
            oldest = next(iter(self._ended))
            del self._ended[oldest], self.protections[oldest]

    # -- orders ------------------------------------------------------------------------------------------------------

    def apply(self, event: OrderEvent) -> None:
        """Count an order event."""
        if isinstance(event, OrderPartiallyFilledEvent | OrderFilledEvent):
            self._fill(event)
        if event.status is None or not event.status.is_final:
            return
        p = self.protections.get(event.order_id)
        if p is not None:
            p.entry_open = False
            return
        p = self._exits.get(event.order_id)
        if p is not None and p.exit is not None and p.exit.order_id == event.order_id:
            p.end_exit(event.status, event.filled or ZERO)

    def _fill(self, fill: OrderPartiallyFilledEvent | OrderFilledEvent) -> None:
        change = position_change(fill, self._exposure.base(fill.symbol))
        lots = self._lots(fill.symbol)
        entry = self.protections.get(fill.order_id)
        if entry is not None:
            opened = EXACT.multiply(lots.close(fill.strategy_id, change), 1 if change * entry.side.sign > 0 else -1)
            self._cut(lots)
            entry.enter(fill.quantity, opened, fill.price, fill.ts, took=fill.liquidity == "taker")
            if entry.protection_id in self._ended:
                del self._ended[entry.protection_id]
                self._live.setdefault(entry.symbol, {})[entry.protection_id] = entry
        elif (p := self._exits.get(fill.order_id)) is not None:
            lots.leave(p, change)
            self._cut(lots)
            group = (_ACCOUNT if p.is_of_account else p.strategy_id, p.symbol, p.exit_side)
            self._closed[group] = EXACT.add(self._closed.get(group, ZERO), fill.quantity)
            if p.exit is not None and p.exit.order_id == fill.order_id:
                p.leave(fill.quantity, abs(change), fill.price)
            else:
                p.reduce(abs(change))  # late, when everything had been counted
        else:
            lots.close(fill.strategy_id, change)
            self._cut(lots)
        self._bound(fill.symbol)

    def pay(self, event: BalanceEvent) -> None:
        """Count coins that were paid in or out."""
        symbol = self._exposure.homes.get(event.currency)
        if symbol is not None and event.deposit:
            lots = self._lots(symbol)
            lots.pay(event.deposit)
            self._cut(lots)
            self._bound(symbol)

    def liquidate(self, event: PositionLiquidatedEvent) -> None:
        """Count what the venue closed by itself."""
        lots = self._lots(event.symbol)
        lots.close("", EXACT.multiply(event.quantity, event.side.sign))
        self._cut(lots)
        self._bound(event.symbol)

    def _lots(self, symbol: str) -> ProtectedLots:
        return ProtectedLots(self.of(symbol), self._owners.setdefault(symbol, Ownership()))

    def _bound(self, symbol: str) -> None:
        lots = self._lots(symbol)
        lots.bound(self._exposure.position(symbol))
        self._cut(lots)

    def _cut(self, lots: ProtectedLots) -> None:
        """Let what is protected be what is left."""
        for protection_id, left in lots.held.items():
            p = self.protections[protection_id]
            p.reduce(EXACT.subtract(p.held, left))

    # -- from the record ---------------------------------------------------------------------------------------------

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record."""
        if isinstance(event, OrderEvent):
            if self.protections:
                self.apply(event)
        elif isinstance(event, BalanceEvent):
            if self.protections:
                self.pay(event)
        elif isinstance(event, PositionLiquidatedEvent):
            if self.protections:
                self.liquidate(event)
        elif isinstance(event, ProtectionEvent):
            self._recall_own(event)
        elif isinstance(event, StrategyDecisionEvent):
            for intent in event.intents:
                if intent.action == "exit" and (p := self.to_exit(event.strategy_id, intent.order_id)) is not None:
                    p.triggered = p.triggered or "exit"
        elif isinstance(event, RiskApprovedEvent | RiskLimitBreachedEvent) and event.intent.action == "order":
            for waiting in self._held_back.values():
                waiting.pop(event.intent.order_id, None)
            self._held_back = {group: waiting for group, waiting in self._held_back.items() if waiting}

    def _recall_own(self, event: ProtectionEvent) -> None:
        if isinstance(event, ProtectionSetEvent):
            self.add(event)
        elif isinstance(event, ProtectionDecidedEvent):
            self.decide(event)
        elif isinstance(event, ProtectionYieldedEvent):
            self.hold(event.strategy_id, event.intent)
        elif isinstance(event, ProtectionGuardedEvent):
            self.protections[event.protection_id].is_told = True
        elif isinstance(event, ProtectionEndedEvent):
            self.end(self.protections[event.protection_id])


def _closes(strategy_id: str, p: Protection) -> bool:
    """Whether orders of a strategy close the position of ``p``."""
    return strategy_id in (p.strategy_id, *_CLOSE_ALL) or p.is_of_account
