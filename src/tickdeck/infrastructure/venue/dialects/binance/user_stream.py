"""The private stream: each account's reports and balances, to everyone who subscribed."""

from __future__ import annotations

from typing import Any

import msgspec

from tickdeck.infrastructure.venue.dialects.binance import messages
from tickdeck.infrastructure.venue.dialects.binance.connection import Connection
from tickdeck.infrastructure.venue.dialects.binance.rules import Rule, next_rule
from tickdeck.infrastructure.venue.dialects.binance.venue import MS, BinanceVenue
from tickdeck.infrastructure.venue.exchange import Update
from tickdeck.infrastructure.venue.faults import parse_duration
from tickdeck.infrastructure.venue.matching import HOUSE, ExecutionKind

__all__ = ["ReportRule", "Subscription", "UserStreams"]


class Subscription:
    """An account's private stream on one connection. Events are wrapped with its ``number``; a stream opened with a
    listen key has none and sends them bare."""

    def __init__(self, account: str, connection: Connection, number: int | None, now: int, unit: int = MS) -> None:
        self.account = account
        self.connection = connection
        self.number = number
        self.opened = now
        self.unit = unit
        self.silent_until = 0
        self.of_session = False
        """Whether it came with a logon, and ends with it."""

    def send(self, event: dict[str, Any], due: int = 0) -> None:
        """Queue an event."""
        if self.number is not None:
            event = {"subscriptionId": self.number, "event": event}
        self.connection.send(msgspec.json.encode(event).decode(), due)


class ReportRule(Rule, kw_only=True, forbid_unknown_fields=True):
    """A rule for the next ``count`` reports of a kind (``TRADE``, ``CANCELED``, ... or ``any``): they are dropped,
    doubled, or held back ``hold`` (such as 25s). ``after`` reports of the kind pass first."""

    drop: bool = False
    double: bool = False
    hold: str = ""

    def __post_init__(self) -> None:
        kinds = ("any", *ExecutionKind)
        if self.on not in kinds:
            raise ValueError(f"on is {self.on!r}; give one of {', '.join(kinds)}")
        if self.hold:
            parse_duration(self.hold)


class UserStreams:
    """All private streams."""

    def __init__(self, venue: BinanceVenue) -> None:
        self.venue = venue
        self.rules: list[ReportRule] = []
        self._by_account: dict[str, list[Subscription]] = {}
        venue.exchange.listeners.append(self.on_update)

    def add(self, subscription: Subscription) -> None:
        """Send the account's events to a subscription from now on."""
        self._by_account.setdefault(subscription.account, []).append(subscription)

    def remove(self, subscription: Subscription) -> None:
        """End a subscription. Nothing is sent."""
        subscriptions = self._by_account.get(subscription.account, [])
        if subscription in subscriptions:
            subscriptions.remove(subscription)

    def end(self, subscription: Subscription, now: int) -> None:
        """End a subscription, and send that it ended; the connection stays."""
        self.remove(subscription)
        subscription.send({"e": "eventStreamTerminated", "E": now // subscription.unit})

    def on_update(self, update: Update) -> None:
        """Send the accounts what happened to them: reports in order, then the balances that changed."""
        if update.moved:
            owner = update.moved[0].account
            for subscription in self._listeners(owner, update.at):
                unit = subscription.unit
                subscription.send(self._position(owner, tuple(m.asset for m in update.moved), update.at, unit))
                for moved in update.moved:
                    subscription.send(messages.balance_update(moved.asset, moved.amount, update.at, unit))
            return
        if not update.executions:
            return
        market = self.venue.exchange.engine.markets[update.symbol]
        touched: dict[str, dict[str, None]] = {}  # by account, the assets
        for execution in update.executions:
            account = execution.order.account
            if account[:1] == HOUSE:
                continue
            assets = touched.setdefault(account, dict.fromkeys((market.base, market.quote)))
            if execution.commission_asset:
                assets[execution.commission_asset] = None
            subscriptions = self._by_account.get(account)
            if subscriptions:
                self._report(execution, update, account)
        for change in update.lists:
            legs = self.venue.exchange.engine.lists.legs(change.order_list)
            for subscription in self._listeners(change.order_list.account, update.at):
                subscription.send(messages.list_status(change, legs, update.at, subscription.unit))
        for account, assets in touched.items():
            for subscription in self._listeners(account, update.at):
                subscription.send(self._position(account, tuple(assets), update.at, subscription.unit))

    def send(self, account: str, event: dict[str, Any], now: int) -> None:
        """Send an event as it is to all streams of an account."""
        for subscription in self._listeners(account, now):
            subscription.send(event)

    def _report(self, execution: Any, update: Update, account: str) -> None:
        faults = self.venue.faults
        due, copies = 0, 1
        rule = next_rule(self.rules, execution.kind.value)
        if rule is not None:
            if rule.drop:
                return
            due = update.at + parse_duration(rule.hold) if rule.hold else 0
            copies = 2 if rule.double else 1
        if execution.kind is ExecutionKind.TRADE:
            if faults.happens("lost_fill"):
                return
            if (late := faults.happens("late_fill")) is not None:
                due = update.at + late.duration_ns
            if faults.happens("duplicate_fill"):
                copies = 2
        for subscription in self._listeners(account, update.at):
            report = messages.execution_report(execution, update.cancel_id, subscription.unit)
            for _ in range(copies):
                subscription.send(report, due)

    def _listeners(self, account: str, now: int) -> list[Subscription]:
        """The account's streams that are not silent now."""
        found = []
        for subscription in self._by_account.get(account, []):
            if now < subscription.silent_until:
                continue
            silent = self.venue.faults.happens("private_stream_silent")
            if silent is not None:
                subscription.silent_until = now + silent.duration_ns
                continue
            found.append(subscription)
        return found

    def _position(self, account: str, assets: tuple[str, ...], at: int, unit: int) -> dict[str, Any]:
        return messages.account_position(self.venue.exchange.engine.balances.of(account), assets, at, unit)
