"""Approves and refuses intents, and cancels open orders that may not stay."""

from __future__ import annotations

from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.wording import counted
from tickdeck.domain.events import ActionIntent, RiskApprovedEvent, RiskLimitBreachedEvent, SystemWarning
from tickdeck.domain.risk import Breach, CountedOrder, Exposure
from tickdeck.domain.values import plain

__all__ = ["Approvals"]


class Approvals:
    """Publishes what risk approves and refuses for one account. What is approved counts in ``exposure`` at once."""

    def __init__(self, bus: CoreBus, exposure: Exposure, account_id: str, user_id: str) -> None:
        self._bus = bus
        self._exposure = exposure
        self._account_id = account_id
        self._user_id = user_id

    def approve(self, strategy_id: str, intent: ActionIntent) -> None:
        self._exposure.approve(strategy_id, intent)
        self._bus.publish(
            RiskApprovedEvent(
                strategy_id=strategy_id, account_id=self._account_id, user_id=self._user_id, intent=intent
            )
        )

    def refuse(self, strategy_id: str, intent: ActionIntent, breach: Breach) -> None:
        self._bus.publish(
            RiskLimitBreachedEvent(
                strategy_id=strategy_id,
                account_id=self._account_id,
                user_id=self._user_id,
                limit=breach.limit,
                detail=breach.detail,
                intent=intent,
                scope=breach.scope,
            )
        )

    def cancel(self, order: CountedOrder) -> None:
        """Approve the cancel of an open order."""
        self.approve(order.strategy_id, ActionIntent(action="cancel", symbol="", order_id=order.order_id))

    def withdraw(self, opening: list[CountedOrder], why: str) -> None:
        """Cancel open orders that could enlarge a position, with a warning that says why."""
        verb = "is" if len(opening) == 1 else "are"
        message = f"{why}: {counted(len(opening), 'open order')} that could enlarge a position {verb} cancelled"
        self._warn(message)
        for order in opening:
            self.cancel(order)

    def withdraw_opening(self) -> None:
        """At a limit's halt, cancel the open orders that could enlarge a position. Those that only reduce one stay."""
        opening = [o for o in self._exposure.open_orders() if not o.reduce_only and not o.is_leaving]
        if opening:
            self.withdraw(opening, "halted by a limit")

    def withdraw_excess(self, symbol: str) -> None:
        """Cancel reduce-only orders that became larger than the position."""
        for order in self._exposure.beyond(symbol):
            held = self._exposure.position(symbol)
            position = f"the position of {plain(held)} {symbol}"
            self._warn(f"reduce-only order {order.order_id} is larger than {position}: it is cancelled")
            self.cancel(order)

    def _warn(self, message: str) -> None:
        self._bus.publish(SystemWarning(component="risk", message=message))
