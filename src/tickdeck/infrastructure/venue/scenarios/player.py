"""Plays a scenario: runs its steps when they are due, and checks the ledger."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.venue.exchange import Exchange, Update
from tickdeck.infrastructure.venue.faults import parse_duration
from tickdeck.infrastructure.venue.matching import HOUSE, ExecutionKind
from tickdeck.infrastructure.venue.scenarios.scenario import Check, Scenario, Step

__all__ = ["CheckResult", "ScenarioPlayer"]

Act = Callable[[str, dict[str, Any]], tuple[int, Any]]
_HAPPENED = {
    ExecutionKind.NEW: "placed",
    ExecutionKind.TRADE: "filled",
    ExecutionKind.CANCELED: "cancelled",
}


class CheckResult(NamedTuple):
    """A check with the value of its figure, and whether it passed."""

    check: Check
    value: Decimal
    holds: bool


class ScenarioPlayer:
    """Call ``on_request`` before each request, and ``tick`` as time passes. Updates of the exchange arrive through a
    listener.

    ``act`` carries out an action of the admin address and returns status and answer. ``asked`` counts requests and
    errors. ``problems`` are steps that the venue refused.
    """

    def __init__(self, scenario: Scenario, exchange: Exchange, act: Act, asked: dict[str, int], now: int) -> None:
        self.scenario = scenario
        self.problems: list[str] = []
        self._exchange = exchange
        self._act = act
        self._asked = asked
        self._waiting = [step for step in scenario.steps if step.on != "start"]
        self._seen: dict[str, int] = {}
        self._due: list[tuple[int, int, Step]] = []
        self._count = 0
        self._now = now
        for symbol, side, price, quantity in scenario.book:
            self._run(Step(do="quote", values={"symbol": symbol, "side": side, "price": price, "quantity": quantity}))
        for step in scenario.steps:
            if step.on == "start":
                self._schedule(step, now)
        exchange.listeners.append(self._on_update)

    def on_request(self, kind: str) -> None:
        """A request of this kind is about to be executed."""
        self._happened(kind)

    def tick(self, now: int) -> None:
        """Run the steps that are due."""
        self._now = now
        while self._due and self._due[0][0] <= now:
            self._run(self._due.pop(0)[2])

    @property
    def finished(self) -> bool:
        """Whether every step has run."""
        return not self._waiting and not self._due

    def results(self) -> list[CheckResult]:
        """The result of each check against the current ledger."""
        figures = self.figures()
        found = []
        for check in self.scenario.checks:
            value = figures.get(check.figure, Decimal(0))
            found.append(CheckResult(check, value, check.holds(value)))
        return found

    def figures(self) -> dict[str, Decimal]:
        """Every figure that a check may name; missing ones are 0."""
        exchange = self._exchange
        figures = {name: Decimal(count) for name, count in self._asked.items()}

        def add(name: str, value: Decimal | int) -> None:
            figures[name] = figures.get(name, Decimal(0)) + value

        for account in exchange.accounts:
            for symbol in exchange.engine.markets:
                for order in exchange.engine.orders(account, symbol):
                    add("orders", 1)
                    add(f"orders.{order.status.value}", 1)
                    add("orders.open", order.working)
                    add("bought" if order.is_buy else "sold", order.filled)
                    add("prevented", order.prevented)
            add("fills", len(exchange.fills.get(account, ())))
            for asset, balance in exchange.engine.balances.of(account).items():
                add(f"balance.{asset}", balance.free + balance.locked)
                add(f"locked.{asset}", balance.locked)
        return figures

    def _on_update(self, update: Update) -> None:
        self._now = max(self._now, update.at)
        for execution in update.executions:
            if execution.order.account[:1] != HOUSE and execution.kind in _HAPPENED:
                self._happened(_HAPPENED[execution.kind])

    def _happened(self, what: str) -> None:
        count = self._seen[what] = self._seen.get(what, 0) + 1
        due = [step for step in self._waiting if step.on == what and step.nth == count]
        for step in due:
            self._waiting.remove(step)
            if step.after or what in _HAPPENED.values():
                self._schedule(step, self._now)  # never inside a call of the exchange itself
            else:
                self._run(step)

    def _schedule(self, step: Step, now: int) -> None:
        self._count += 1
        at = now + (parse_duration(step.after) if step.after else 0)
        self._due.append((at, self._count, step))
        self._due.sort(key=lambda due: due[:2])

    def _run(self, step: Step) -> None:
        try:
            status, answer = self._act(step.do, dict(step.values))
        except ConfigError as error:
            status, answer = 400, {"error": str(error)}
        if status != 200:
            self.problems.append(f"{step.do}: {answer}")
