"""The account: balances, fee rates, and the rights of its key."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tickdeck.application.ports import Balance
from tickdeck.domain.events import TransferKind, VenueBalanceReported, VenueFeesReported, VenueTransferReported
from tickdeck.domain.values import ZERO
from tickdeck.infrastructure.exchanges.binance.mappers.market import SPOT

__all__ = [
    "AccountBody",
    "AccountPosition",
    "BalanceUpdate",
    "KeyRestrictions",
    "KeyRights",
    "balance_events",
    "balances_of",
    "fees_event",
    "transfer_event",
]

_MS = 1_000_000


class _Balance(msgspec.Struct):
    asset: str
    free: Decimal
    locked: Decimal = ZERO


class CommissionRates(msgspec.Struct):
    maker: Decimal = ZERO
    taker: Decimal = ZERO


class AccountBody(msgspec.Struct, rename="camel"):
    """The response to ``GET /api/v3/account``."""

    balances: tuple[_Balance, ...]
    can_trade: bool = True
    can_withdraw: bool = False
    commission_rates: CommissionRates | None = None


class KeyRestrictions(msgspec.Struct, rename="camel"):
    """The response to ``GET /sapi/v1/account/apiRestrictions``."""

    ip_restrict: bool
    enable_reading: bool
    enable_withdrawals: bool
    enable_spot_and_margin_trading: bool


class KeyRights(msgspec.Struct, frozen=True, kw_only=True):
    """The rights of a key. ``address_bound``: it works only from certain addresses; ``None`` if the venue does not
    say.
    """

    may_read: bool
    may_trade: bool
    may_withdraw: bool
    address_bound: bool | None = None


class _Changed(msgspec.Struct):
    asset: str = msgspec.field(name="a")
    free: Decimal = msgspec.field(name="f")
    locked: Decimal = msgspec.field(name="l")


class AccountPosition(msgspec.Struct):
    """``outboundAccountPosition``: the assets that changed."""

    updated: int = msgspec.field(name="u")
    balances: tuple[_Changed, ...] = msgspec.field(name="B")


class BalanceUpdate(msgspec.Struct):
    """``balanceUpdate``: a deposit, a withdrawal, or a transfer between accounts. It names neither its kind nor an
    id."""

    asset: str = msgspec.field(name="a")
    change: Decimal = msgspec.field(name="d")
    cleared: int = msgspec.field(name="T")


def balances_of(body: AccountBody) -> tuple[Balance, ...]:
    """The balances of the account that are not zero."""
    return tuple(Balance(currency=b.asset, free=b.free, locked=b.locked) for b in body.balances if b.free or b.locked)


def balance_events(
    position: AccountPosition, received: int, account_id: str = "main"
) -> tuple[VenueBalanceReported, ...]:
    """The balances that changed."""
    return tuple(
        VenueBalanceReported(
            account_id=account_id,
            currency=changed.asset,
            total=changed.free + changed.locked,
            locked=changed.locked,
            ts=position.updated * _MS,
            ts_ingress=received,
            source=SPOT,
        )
        for changed in position.balances
    )


def transfer_event(update: BalanceUpdate, received: int, account_id: str = "main") -> VenueTransferReported:
    """The payment. Its id consists of everything that the venue tells."""
    return VenueTransferReported(
        account_id=account_id,
        currency=update.asset,
        amount=update.change,
        transfer_kind=TransferKind.DEPOSIT if update.change > 0 else TransferKind.WITHDRAWAL,
        transfer_id=f"{update.asset}/{update.cleared}/{update.change}",
        ts=update.cleared * _MS,
        ts_ingress=received,
        source=SPOT,
    )


def fees_event(body: AccountBody, received: int, account_id: str = "main") -> VenueFeesReported | None:
    """The fee rates of the account; ``None`` if the response does not contain them."""
    rates = body.commission_rates
    if rates is None:
        return None
    return VenueFeesReported(
        account_id=account_id, maker=rates.maker, taker=rates.taker, ts_ingress=received, source=SPOT
    )
