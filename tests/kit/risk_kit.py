"""Shared by the tests of the risk engine: a strategy that does what a test wants on the next trade."""

from __future__ import annotations

from collections.abc import Callable

from application_kit import BTC, SECOND, Core, D

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import (
    CommandReceived,
    RiskLimitBreachedEvent,
    TradeEvent,
)
from tickdeck.domain.risk import RiskLimits

DAY = 86_400 * SECOND


class Puppet(Strategy):
    """Does on the next trade what the test wants."""

    def __init__(self, *todo: Callable[[Puppet], object]) -> None:
        super().__init__()
        self.todo = list(todo)

    def on_trade(self, trade: TradeEvent) -> None:
        todo, self.todo = self.todo, []
        for action in todo:
            action(self)


def core_of(limits: RiskLimits, *todo: Callable[[Puppet], object], price: str = "100") -> tuple[Core, Puppet]:
    puppet = Puppet()
    core = Core({"puppet": puppet}, limits=limits).start().trades(price)
    puppet.todo = list(todo)
    if todo:
        core.trades(price)
    return core, puppet


def do(core: Core, puppet: Puppet, *todo: Callable[[Puppet], object], price: str = "100") -> None:
    puppet.todo = list(todo)
    core.trades(price)


def breaches(core: Core) -> list[str]:
    return [e.limit for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent)]


def buy(quantity: str, limit: str | None = None) -> Callable[[Puppet], object]:
    return lambda s: s.buy(BTC, D(quantity), limit=D(limit) if limit else None)


def sell(quantity: str, limit: str | None = None) -> Callable[[Puppet], object]:
    return lambda s: s.sell(BTC, D(quantity), limit=D(limit) if limit else None)


def command(core: Core, name: str, reason: str = "", **arguments: str) -> Core:
    return core.feed(CommandReceived(command=name, reason=reason, arguments=arguments))
