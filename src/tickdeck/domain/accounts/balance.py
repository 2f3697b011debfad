"""The balance of an account in one currency, as an aggregate: what is there, and what is set aside."""

from __future__ import annotations

import msgspec

from tickdeck.domain.aggregates import AggregateRoot
from tickdeck.domain.arguments import check_amount, check_name
from tickdeck.domain.events import BalanceEvent, DomainEvent, balance_stream
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money, plain
from tickdeck.errors import DomainError, InsufficientBalance

__all__ = ["BalanceAggregate"]


class _State(msgspec.Struct):
    user_id: str
    total: Money
    locked: Money
    reserved: Money


class BalanceAggregate(AggregateRoot):
    """The balance of ``account_id`` in ``currency``; all amounts are in units of it.

    ``free`` is always ``total`` minus ``locked`` minus ``reserved``. ``locked`` is what orders that are not ours lock.
    """

    def __init__(self, account_id: str, currency: str) -> None:
        super().__init__()
        check_name("BalanceAggregate: account_id", account_id)
        check_name("BalanceAggregate: currency", currency)
        self.account_id = account_id
        self.currency = currency
        self.user_id = ""
        self.total: Money = ZERO
        self.locked: Money = ZERO
        self.reserved: Money = ZERO

    @property
    def identity(self) -> tuple[str, str]:
        return self.account_id, self.currency

    @property
    def stream(self) -> str:
        return balance_stream(self.account_id, self.currency)

    @property
    def free(self) -> Money:
        """What may be spent, in units of ``currency``; negative if more is locked and reserved than is there."""
        return EXACT.subtract(EXACT.subtract(self.total, self.locked), self.reserved)

    # -- decisions ---------------------------------------------------------------------------------------------------

    def observe(self, total: Money, locked: Money, user_id: str = "") -> None:
        """Adopt what the exchange reports. The difference counts as paid in or out.

        Do this only while the account has no open trade: the report may or may not contain the fill of one, in any of
        its currencies, and a fill must not count twice. Raises ``InvalidValue`` if an amount is no finite ``Decimal``,
        or ``locked`` is negative.
        """
        check_amount("observe: total", total)
        check_amount("observe: locked", locked, least=ZERO)
        if total == self.total and locked == self.locked and (self.version or self.get_domain_events()):
            return
        change = EXACT.subtract(total, self.total)
        self._raise(total=total, locked=locked, change=change, deposit=change, user_id=user_id or self.user_id)

    def reserve(self, amount: Money) -> None:
        """Set ``amount`` aside. Raises ``InsufficientBalance`` if less is free."""
        check_amount("reserve: the amount", amount, above=ZERO)
        if amount > self.free:
            raise InsufficientBalance(
                f"account {self.account_id}: needs {plain(amount)} {self.currency}, but has {plain(self.free)} free"
            )
        self._raise(reserved=EXACT.add(self.reserved, amount))

    def release(self, amount: Money) -> None:
        """What was set aside is free again. Raises ``DomainError`` if less is reserved."""
        check_amount("release: the amount", amount, least=ZERO)
        self.settle(change=ZERO, released=amount)

    def settle(self, *, change: Money, released: Money = ZERO, fee: Money = ZERO) -> None:
        """A trade changed the balance by ``change``, which contains ``-fee``; ``released`` of what was set aside is
        free again. Raises ``DomainError`` if less is reserved."""
        check_amount("settle: the change", change)
        check_amount("settle: what is released", released, least=ZERO)
        check_amount("settle: the fee", fee)
        if released > self.reserved:
            raise DomainError(
                f"account {self.account_id}: {released} {self.currency} cannot be released, only {self.reserved} are "
                "reserved"
            )
        if change or released or fee:
            total, reserved = EXACT.add(self.total, change), EXACT.subtract(self.reserved, released)
            self._raise(total=total, reserved=reserved, change=change, fee=fee)

    # -- state -------------------------------------------------------------------------------------------------------

    def apply(self, event: DomainEvent) -> None:
        if isinstance(event, BalanceEvent):
            self.user_id, self.total = event.user_id, event.total
            self.locked, self.reserved = event.locked, event.reserved

    def snapshot(self) -> bytes:
        return msgspec.json.encode(_State(self.user_id, self.total, self.locked, self.reserved))

    def restore(self, version: int, state: bytes) -> None:
        found = msgspec.json.decode(state, type=_State)
        self.version, self.user_id = version, found.user_id
        self.total, self.locked, self.reserved = found.total, found.locked, found.reserved

    def _raise(
        self,
        *,
        total: Money | None = None,
        locked: Money | None = None,
        reserved: Money | None = None,
        change: Money = ZERO,
        deposit: Money = ZERO,
        fee: Money = ZERO,
        user_id: str | None = None,
    ) -> None:
        total = self.total if total is None else total
        locked = self.locked if locked is None else locked
        reserved = self.reserved if reserved is None else reserved
        self.raise_event(
            BalanceEvent(
                account_id=self.account_id,
                user_id=self.user_id if user_id is None else user_id,
                currency=self.currency,
                total=total,
                free=EXACT.subtract(EXACT.subtract(total, locked), reserved),
                locked=locked,
                reserved=reserved,
                change=change,
                deposit=deposit,
                fee=fee,
            )
        )
