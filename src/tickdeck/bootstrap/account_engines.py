"""Makes the engines of the accounts of a run, and says which of them a command concerns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tickdeck.application.engines import (
    AccountBus,
    AccountEngines,
    CoreBus,
    ExecutionEngine,
    MarketDataEngine,
    OperatorEngine,
    PortfolioEngine,
    RiskEngine,
    StopOrders,
)
from tickdeck.application.engines.order_arguments import name_one_of
from tickdeck.application.kernel import Kernel
from tickdeck.application.ports import Amendment
from tickdeck.bootstrap.run_accounts import RunAccount
from tickdeck.domain.accounts import Account, Rates, reporting_currency
from tickdeck.domain.events import CommandReceived, SystemWarning
from tickdeck.domain.market import Instrument

__all__ = ["AccountCommands", "build_accounts"]


class AccountCommands:
    """Which of several accounts a command concerns: that of its argument ``account``; without it, those that have the
    order, the position, the halt or the difference that it is about, and all for other commands. If none has it, the
    first account answers."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.accounts: Sequence[AccountEngines] = ()
        self._last: tuple[str, tuple[str, ...]] = ("", ())

    def concern(self, account_id: str) -> Callable[[CommandReceived], bool]:
        def concerns(command: CommandReceived) -> bool:
            if self._last[0] != command.event_id:  # the first answer holds until every engine has the command
                self._last = command.event_id, self._concerned(command)
            return account_id in self._last[1]

        return concerns

    def refuse_unknown(self, command: CommandReceived) -> None:
        """Say that nobody carries out a command for an account that the run does not have, or an order for none."""
        named, names = command.arguments.get("account", ""), [account.account_id for account in self.accounts]
        if named and named not in names:
            why = f"this run has no account {named!r}; it has: {', '.join(names)}"
        elif not named and command.command == "submit":
            why = name_one_of(names)
        else:
            return
        self._kernel.publish(SystemWarning(component=RiskEngine.component, message=f"{command.command}: {why}"))

    def _concerned(self, command: CommandReceived) -> tuple[str, ...]:
        if named := command.arguments.get("account"):
            return (named,)
        if command.command == "submit":
            return ()  # it is refused
        found = [one.account_id for one in self.accounts if _has(one, command)]
        return tuple(found) or (self.accounts[0].account_id,)


def _has(one: AccountEngines, command: CommandReceived) -> bool:
    what, arguments = command.command, command.arguments
    if order_id := arguments.get("order_id"):
        return order_id in one.execution.orders
    if what in ("close", "protect", "unprotect"):
        symbol = arguments.get("symbol", "")
        return bool(one.risk.exposure.position(symbol) or one.risk.exposure.open_orders(symbol))
    if what == "resume":
        return bool(one.risk.gate.closed_because)
    if what == "adopt":
        return any(arguments.get("currency", "") in ("", found) for found in one.portfolio.differences.found)
    return True


def build_accounts(
    kernel: Kernel,
    accounts: Sequence[RunAccount],
    commands: AccountCommands,
    *,
    symbols: tuple[str, ...],
    nonce: str,
    market_data: MarketDataEngine,
    configured: Callable[[str], Instrument],
    instrument: Callable[[str], Instrument],
    why_closed: Callable[[str], str],
    on_difference: str,
    stop_orders: StopOrders,
    amendment: Amendment,
) -> tuple[AccountEngines, ...]:
    """The engines of each of ``accounts``. If there are several, ``commands`` says which of them a command concerns.
    ``configured(symbol)`` is an instrument as the run began, ``instrument`` as it is now."""
    quote = reporting_currency(map(configured, symbols))
    built = []
    for one in accounts:
        bus: CoreBus = kernel
        alone = len(accounts) == 1
        if not alone:
            bus = AccountBus(kernel, one.account_id, commands.concern(one.account_id))
        rates = Rates(symbols, configured)
        account = Account(one.account_id, quote, one.paper.user_id, rates.homes(quote))
        portfolio = PortfolioEngine(bus, account, market_data, instrument, rates, on_difference=on_difference)
        at = "" if alone else f"@{one.account_id}"
        execution = ExecutionEngine(bus, nonce, instrument, owner=f"{ExecutionEngine.component}{at}")
        risk = RiskEngine(
            bus,
            one.limits,
            clock=kernel.clock.now,
            price=market_data.price,
            close_ts=market_data.close_ts,
            portfolio=portfolio,
            instrument=instrument,
            why_closed=why_closed,
            short_selling=one.paper.short_selling,
            nonce=nonce,
            stop_orders=stop_orders,
            amendment=amendment,
            margin=one.paper.margin,
            owner=f"{RiskEngine.component}{at}",
        )
        OperatorEngine(
            bus,
            symbols=symbols,
            nonce=nonce,
            account_id=one.account_id,
            user_id=one.paper.user_id,
        )
        built.append(AccountEngines(bus, risk, execution, portfolio))
    commands.accounts = built
    if len(built) > 1:
        kernel.subscribe(CommandReceived, commands.refuse_unknown, component="risk")
    return tuple(built)
