"""What a run's tape says of copied trades: each trade of the leader is copied once, and each copy ends as its order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from tickdeck.domain.events import (
    DomainEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    TradeExecutedEvent,
    TradeFailedEvent,
    TradeNeedsReconciliationEvent,
    TradeReservedEvent,
    TwoPhaseTradeEvent,
)
from tickdeck.domain.trading import Order

__all__ = ["Copies", "Followed"]

_AGAIN = "~"  # before the number of a further attempt, in the id of its trade


class Followed(NamedTuple):
    """Whose fills are copied: those of a strategy (empty: all) in an account. ``each``: all of them, also those that
    close the leader's position."""

    account: str
    strategy: str
    each: bool


class Copies:
    """The copies of all followers, folded from their events and from the fills of all accounts."""

    def __init__(self) -> None:
        self.reserved: Counter[str] = Counter()
        self.ended: dict[str, TwoPhaseTradeEvent] = {}
        """How trades ended, by their id."""
        self._orders: dict[str, dict[str, str]] = defaultdict(dict)  # by account: trades by the id of their order
        self._copied: dict[str, Counter[str]] = defaultdict(Counter)  # by account: trades of the leader
        self._fills: dict[tuple[str, str], set[str]] = defaultdict(set)  # by account and strategy: their ids
        self._twice: list[str] = []

    def take(self, event: DomainEvent) -> None:
        """Take the next event of the run."""
        if isinstance(event, OrderPartiallyFilledEvent | OrderFilledEvent):
            fill_id = f"{event.order_id}-{event.venue_trade_id or event.event_id}"
            self._fills[event.account_id, event.strategy_id].add(fill_id)
        elif isinstance(event, TradeReservedEvent):
            self.reserved[event.trade_id] += 1
            self._orders[event.account_id][event.order_id] = event.trade_id
            self._count(event)
        elif isinstance(event, TradeExecutedEvent | TradeFailedEvent):
            if event.trade_id in self.ended:
                self._twice.append(event.trade_id)
            self.ended[event.trade_id] = event
            if event.trade_id not in self.reserved:
                self._count(event)

        elif isinstance(event, TradeNeedsReconciliationEvent) and self._has_failed(event.trade_id):
            del self.ended[event.trade_id]  # the exchange has its order after all

    def _has_failed(self, trade_id: str) -> bool:
        return isinstance(self.ended.get(trade_id), TradeFailedEvent)

    def _count(self, event: TwoPhaseTradeEvent) -> None:
        if _AGAIN not in event.trade_id:
            self._copied[event.account_id][event.copied_from] += 1

    def differences(self) -> Iterator[str]:
        """What must hold at any time: nothing is copied twice, and no trade ends twice unless it was in doubt again."""
        for trade_id, times in self.reserved.items():
            if times > 1:
                yield f"trade {trade_id} is reserved {times} times"
        for account, copied in self._copied.items():
            for leader_id, times in copied.items():
                if times > 1:
                    yield f"{account} copied {leader_id} {times} times"
        for trade_id in self._twice:
            yield f"trade {trade_id} ended twice"

    def differences_at_rest(
        self, orders: Mapping[str, Mapping[str, Order]], leaders: Mapping[str, Followed]
    ) -> Iterator[str]:
        """What must hold as well when all orders have ended. ``orders`` are those of each account by id, ``leaders``
        those of each follower."""
        yield from self.differences()
        for trade_id in self.reserved:
            if trade_id not in self.ended:
                yield f"trade {trade_id} has not ended"
        for account, trades in self._orders.items():
            for order_id, trade_id in trades.items():
                order, ended = orders.get(account, {}).get(order_id), self.ended.get(trade_id)
                filled = order.filled if order is not None else Decimal(0)
                executed = ended.executed_quantity if isinstance(ended, TradeExecutedEvent) else Decimal(0)
                if filled != executed:
                    yield f"trade {trade_id} has {executed} executed, and its order {order_id} {filled} filled"
        for follower, leader in leaders.items():
            fills: set[str] = set()
            for (account, strategy), found in self._fills.items():
                if account == leader.account and leader.strategy in ("", strategy):
                    fills |= found
            copied = self._copied[follower].keys()
            for fill_id in sorted(fills - copied) if leader.each else ():
                yield f"{follower} did not copy {fill_id}"
            for fill_id in sorted(copied - fills):
                yield f"{follower} copied {fill_id}, which is no fill of its leader"
