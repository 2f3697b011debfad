"""Watches the surroundings of a live run: halts trading while something is wrong there, and resumes it afterwards."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tickdeck.application.engines import RiskEngine, VenueGateway
from tickdeck.application.engines.trading_gate import SURROUNDINGS, HaltedBy
from tickdeck.application.kernel import Kernel
from tickdeck.application.log import bound_logger
from tickdeck.application.ports import Tape, TradingVenue
from tickdeck.domain.events import CommandReceived, SystemWarning
from tickdeck.errors import ExchangeError
from tickdeck.infrastructure.clock import SteadyClock
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue
from tickdeck.infrastructure.surroundings import (
    Check,
    CircuitCheck,
    ClockCheck,
    MemoryCheck,
    PauseCheck,
    SpaceCheck,
    TapeCheck,
    WatchConfig,
    resident_memory,
)
from tickdeck.infrastructure.watchdog import Watchdog

__all__ = ["LiveWatch", "WatchedAccount"]

_OVER = "nothing is wrong around the run any more"
_EVERY = 0.5  # seconds between two checks
_S = 1_000_000_000
_NEEDS_PROOF = ("clock", "pause", "handler")
"""After these, connections may be dead: trading resumes when market data has arrived and the exchange has answered."""


class WatchedAccount:
    """One account of a live run. ``name`` is empty if it is the only one. ``exchange`` is ``None`` on paper.
    ``checks``: those of this account alone. ``causes``: why it must not trade now."""

    def __init__(self, name: str, risk: RiskEngine, gateway: VenueGateway, venue: TradingVenue) -> None:
        self.name = name
        self.risk = risk
        self.gateway = gateway
        self.is_outside = not venue.simulated
        self.exchange = venue if isinstance(venue, ExchangeVenue) else None
        self.circuits = CircuitCheck()
        self.checks: list[Check] = [self.circuits]
        self.causes: dict[str, str] = {}
        self.unproven: int | None = None  # what had been heard when the connections came into doubt
        self._question: asyncio.Task[bool] | None = None

    def answers(self) -> bool | None:
        """Whether the exchange answers, which takes several calls: the first asks it, and ``None`` means that there is
        no answer yet. The watch does not wait for it, because an exchange may take as long as a fault."""
        if self.exchange is None:
            return True
        if self._question is None:
            self._question = asyncio.create_task(_is_answered(self.exchange))
        if not self._question.done():
            return None
        question, self._question = self._question, None
        return question.result()

    def close(self) -> None:
        """Ask no longer."""
        if self._question is not None:
            self._question.cancel()


async def _is_answered(exchange: ExchangeVenue) -> bool:
    try:
        return await exchange.answers()
    except (ExchangeError, TimeoutError):
        return False


class LiveWatch:
    """Runs the checks of ``settings`` while the task ``run`` does.

    When something is wrong, a ``system.warning`` says so, and the command ``halt`` follows, with the same reason. When
    nothing is wrong any more, the command ``resume`` follows. It never ends a halt by a limit, an operator or an error.
    A halt of before a resume of the run ends in the same way. With several accounts, a failing exchange of one of them
    halts that account alone.

    Raises ``ConfigError`` if the memory is to be watched and the system does not report it.

    The tape is in ``folder``. ``heard()`` counts what was received from the market. ``on_hang(text)`` is called, in
    another thread, if a handler has not returned for so long that the process must end.
    """

    def __init__(
        self,
        settings: WatchConfig,
        kernel: Kernel,
        *,
        clock: SteadyClock,
        tape: Tape,
        folder: Path,
        accounts: Sequence[WatchedAccount],
        heard: Callable[[], int],
        on_hang: Callable[[str], None],
    ) -> None:
        self._kernel, self._clock, self._accounts = kernel, clock, accounts
        self._heard = heard
        self._hang = ""  # written by the watchdog's thread
        self._log = bound_logger("tickdeck.watch")
        handler = settings.ns("handler")
        end = settings.ns("handler_exit")
        self.watchdog = Watchdog(
            kernel,
            limit=(handler or end or 3_600 * _S) / _S,
            alarm=self._on_hang if handler is not None else lambda text: None,
            fatal_limit=end / _S if end is not None else None,
            fatal=on_hang,
        )
        self._checks: list[Check] = []
        if (limit := settings.ns("clock")) is not None:
            self._checks.append(ClockCheck(clock, limit))
        if (limit := settings.ns("pause")) is not None:
            self._checks.append(PauseCheck(limit, round(_EVERY * _S), self.watchdog.held_up))
        if (limit := settings.ns("disk")) is not None:
            self._checks.append(TapeCheck(lambda: tape.last_seq, lambda: tape.durable_seq, limit))
        if (size := settings.bytes_of("disk_free")) is not None:
            self._checks.append(SpaceCheck(size, lambda: shutil.disk_usage(folder).free))
        if (size := settings.bytes_of("memory")) is not None:
            resident_memory()  # now, where the system does not report it
            self._checks.append(MemoryCheck(size, resident_memory))

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong now, in words. Trading is halted meanwhile."""
        return tuple(dict.fromkeys(text for account in self._accounts for text in account.causes.values()))

    async def run(self) -> None:
        """Look until cancelled. Raises the errors of the kernel."""
        try:
            while True:
                await self._clock.sleep(_EVERY)
                self.look()
        finally:
            for account in self._accounts:
                account.close()

    def look(self) -> None:
        """Make every check, and halt or resume accordingly."""
        now = self._clock.monotonic_ns()
        found = {check.name: text for check in self._checks if (text := check.problem(now))}
        hang, self._hang = self._hang, ""
        if hang:
            found.pop("pause", None)  # it is the same
            found["handler"] = f"{hang}; it has returned now"
        told: dict[str, None] = {}
        for account in self._accounts:
            self._look_at(account, found, now, told)
        if hang:
            for account in self._accounts:
                account.gateway.reopen()  # the halt is in force now

    def _look_at(self, account: WatchedAccount, common: dict[str, str], now: int, told: dict[str, None]) -> None:
        """Halt or resume one account. ``told`` collects what is wrong, so that it is told once for all accounts."""
        own = {check.name: text for check in account.checks if (text := check.problem(now))}
        found = own | common
        new = {name: text for name, text in found.items() if name not in account.causes}
        if any(name in _NEEDS_PROOF for name in new):
            account.unproven = self._heard()
        if account.unproven is not None and not new and self._is_proven(account, account.unproven):
            account.unproven = None
        if account.circuits.is_due(now) and (answered := account.answers()) is not None:
            account.circuits.tried(now, answered=answered)  # the next look sees what that changed
        if account.unproven is not None:  # their cause is over, but the connections are still in doubt
            found = {name: text for name, text in account.causes.items() if name in _NEEDS_PROOF} | found
        account.causes = found
        account.gateway.send_cancels_at_once("disk" in found)
        for name, text in new.items():
            said = f"account {account.name}: {text}" if account.name and name in own else text
            if said not in told:
                told[said] = None
                self._log.warning(said)
                self._kernel.publish(SystemWarning(component=SURROUNDINGS, message=said, source=SURROUNDINGS))
        if found and account.risk.gate.halted_by < HaltedBy.SURROUNDINGS:
            self._command(account, "halt", "; ".join(found.values()))
        elif not found and account.risk.gate.halted_by is HaltedBy.SURROUNDINGS:
            self._log.info("trading resumes", reason=account.risk.gate.closed_because)
            self._command(account, "resume", _OVER)

    def _is_proven(self, account: WatchedAccount, heard: int) -> bool:
        """Whether market data has arrived since then, and the exchange answers."""
        return self._heard() > heard and bool(account.answers())

    def _on_hang(self, text: str) -> None:
        """Called by the watchdog's thread, while the handler still runs."""
        for account in self._accounts:
            if account.is_outside:
                account.gateway.shut("a handler did not return")
        self._log.error(text)
        self._hang = text

    def _command(self, account: WatchedAccount, command: str, reason: str) -> None:
        arguments = {"by": SURROUNDINGS} | ({"account": account.name} if account.name else {})
        self._kernel.publish(CommandReceived(command=command, reason=reason, arguments=arguments, source=SURROUNDINGS))
