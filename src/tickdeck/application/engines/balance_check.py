"""Compares the balances that the venue reports with our books, and carries out ``adopt``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.domain.accounts import Account, Differences
from tickdeck.domain.events import (
    AccountDifferenceFound,
    CommandReceived,
    NotificationAlert,
    SystemWarning,
    VenueBalanceReported,
)
from tickdeck.domain.values import ZERO, Money, plain

__all__ = ["BalanceCheck"]


class BalanceCheck:
    """A difference that two readings show, and that nothing explains, is ``account.difference_found``.

    ``policy`` says what follows: ``adopt`` takes the venue's figure, ``halt`` halts trading (risk does), ``ask`` alerts
    a person. The command ``adopt`` (``currency``, or all) takes the venue's figure afterwards. ``pay(amounts, ts)``
    books differences, by currency, as payments.
    """

    def __init__(
        self, bus: CoreBus, account: Account, *, policy: str, pay: Callable[[Mapping[str, Money], int], None]
    ) -> None:
        self._bus = bus
        self._account = account
        self._policy = policy
        self._pay = pay
        self.differences = Differences()

    def on_report(self, report: VenueBalanceReported) -> None:
        """Compare a report that is not the first one of its currency."""
        if self._read(report):
            self._say_found(report)

    def _read(self, report: VenueBalanceReported) -> bool:
        """Whether this reading proves a difference."""
        ours = self._ours(report.currency)
        return self.differences.read(report.currency, ours, report.total, report.ts_ingress)

    def _say_found(self, report: VenueBalanceReported) -> None:
        currency, ours, policy = report.currency, self._ours(report.currency), self._policy
        found = AccountDifferenceFound(
            account_id=self._account.account_id,
            user_id=self._account.user_id,
            currency=currency,
            ours=ours,
            venue=report.total,
            policy=policy,
            ts=report.ts,
        )
        self._bus.publish(found)
        both = f"the venue has {plain(report.total)} {currency}, but our books have {plain(ours)}"
        text = f"{both}, and nothing explains that"
        if policy == "adopt":
            self._adopt(currency, report.ts)
            self._bus.publish(NotificationAlert(text=f"{text}. The venue's figure was adopted", severity="warning"))
        else:
            more = f"`tickdeck adopt RUN {currency}` takes the venue's figure"
            self._bus.publish(NotificationAlert(text=f"{text}. Look at the account; {more}", severity="critical"))

    def adopt(self, command: CommandReceived) -> None:
        """Carry out the command ``adopt``."""
        currencies = self._to_adopt(command)
        for currency in currencies:
            self._adopt(currency, command.ts)
        if not currencies:
            message = f"adopt: there is no difference in {command.arguments.get('currency') or 'any currency'}"
            self._bus.publish(SystemWarning(component="portfolio", message=message))

    def recall(self, event: VenueBalanceReported | AccountDifferenceFound | CommandReceived) -> None:
        """Restore the differences from an event of the record. Publishes nothing."""
        if isinstance(event, VenueBalanceReported):
            self._read(event)
        elif isinstance(event, AccountDifferenceFound):
            if event.policy == "adopt":
                self.differences.forget(event.currency)
        elif event.command == "adopt":
            for currency in self._to_adopt(event):
                self.differences.forget(currency)

    def _adopt(self, currency: str, ts: int) -> None:
        """Book the difference that was found in ``currency`` as a payment."""
        difference = self.differences.found[currency]
        self.differences.forget(currency)
        self._pay({currency: difference}, ts)

    def _to_adopt(self, command: CommandReceived) -> list[str]:
        """The currencies in which ``adopt`` takes the venue's figure; empty if there is none."""
        wanted = command.arguments.get("currency", "")
        return [currency for currency in self.differences.found if wanted in ("", currency)]

    def _ours(self, currency: str) -> Money:
        return self._account.balances.get(currency, ZERO)
