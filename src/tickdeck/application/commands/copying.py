"""Copy trading with several followers: each event of the leader becomes a command for each of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from tickdeck.application.arguments import check_function, check_methods
from tickdeck.application.bus import EventBus, Retry, Subscription, Topic
from tickdeck.application.commands.copy_trade import (
    CopyRule,
    ExecuteCopyTradeCommand,
    LeaderTrade,
)
from tickdeck.application.commands.dispatcher import Dispatcher
from tickdeck.application.commands.open_trades import OpenTrades
from tickdeck.application.commands.reconcile_trade import ReconcileTradeCommand
from tickdeck.domain.aggregates import ValueObject
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError, TickdeckError

__all__ = ["CopyTrading", "Follower"]

log = logging.getLogger("tickdeck.commands")


class Follower(ValueObject, frozen=True, kw_only=True):
    """An account that copies by ``rule``, and its owner. Raises ``ConfigError`` without the name of the account."""

    account_id: str
    user_id: str = ""
    rule: CopyRule = CopyRule()

    def __post_init__(self) -> None:
        account_id: object = self.account_id
        if not isinstance(account_id, str) or not account_id:
            raise ConfigError(f"Follower: account_id is {account_id!r}; give the name of the account that copies")


class CopyTrading:
    """Copies a leader: an account, a strategy, or anything that publishes events.

    ``leader(event)`` says what an event of the leader trades; ``None`` if nothing. Followers are independent: what one
    of them cannot copy is a ``trade.failed`` of its own, with the reason.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        followers: Iterable[Follower],
        leader: Callable[[DomainEvent], LeaderTrade | None],
        open_trades: OpenTrades,
    ) -> None:
        """``dispatcher`` handles ``ExecuteCopyTradeCommand`` and ``ReconcileTradeCommand``."""
        check_methods("CopyTrading", "dispatcher", dispatcher, "dispatch")
        check_function("CopyTrading", "leader", leader, optional=False)
        check_methods("CopyTrading", "open_trades", open_trades, "of", "all")
        given: Any = followers
        if not isinstance(given, Iterable):
            raise ConfigError(f"CopyTrading: followers is {given!r}; give a list of Follower(...)")
        self._dispatcher = dispatcher
        self._open_trades = open_trades
        self._leader = leader
        self.followers = tuple(followers)
        for one in self.followers:
            if not isinstance(one, Follower):
                raise ConfigError(f"CopyTrading: followers has {one!r}; give objects of Follower")
        accounts = [follower.account_id for follower in self.followers]
        if len(set(accounts)) < len(accounts):
            raise ConfigError("CopyTrading: an account follows twice; give each account one rule")

    def follow(self, bus: EventBus, topic: Topic, name: str = "copy trading") -> Subscription:
        """Copy every event of ``topic`` from now on. On a bus with a store, the ``name`` also brings the events that a
        killed process had not copied."""
        return bus.subscribe(topic, self.on_event, name=name, retry=Retry(attempts=5))

    async def on_event(self, event: DomainEvent) -> None:
        """Copy one event of the leader. If a follower's exchange or the store fails, the others go on; then this raises
        that error, so that the event is handled again. What was copied by then is not copied again."""
        leader = self._leader(event)
        if leader is None:
            return
        results = await asyncio.gather(*(self._copy(leader, one) for one in self.followers), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in failures[1:]:
            log.error("copy of %s: %s: %s", leader.trade_id, type(failure).__name__, failure)
        if failures:
            raise failures[0]

    async def _copy(self, leader: LeaderTrade, follower: Follower) -> None:
        command = ExecuteCopyTradeCommand(
            leader=leader, account_id=follower.account_id, user_id=follower.user_id, rule=follower.rule
        )
        await self._dispatcher.dispatch(command)

    async def reconcile(self) -> list[tuple[str, str]]:
        """Find out what became of every trade that is neither executed nor failed. Call it when the program starts, and
        from time to time. Returns account and id of the trades that stay open."""
        for account_id, trade_id in self._open_trades.all():
            try:
                await self._dispatcher.dispatch(ReconcileTradeCommand(account_id=account_id, trade_id=trade_id))
            except TickdeckError as error:  # the next account may succeed
                log.warning("trade %s of %s cannot be reconciled: %s", trade_id, account_id, error)
        return self._open_trades.all()
