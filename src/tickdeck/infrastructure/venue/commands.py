"""All changes of the exchange, as values: the journal stores them, and a restart executes them again."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tickdeck.infrastructure.venue.matching import Market, NewOrder

__all__ = [
    "Account",
    "Cancel",
    "Command",
    "Convert",
    "Expire",
    "Move",
    "OpenAccount",
    "Place",
    "PlaceList",
    "Reduce",
    "SetMarket",
]


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account with its API key.

    The key signs with ``secret`` (HMAC) or, if ``public_key`` (PEM, RSA or Ed25519) is given, with the private key that
    belongs to it. ``addresses`` limits where requests may come from; empty is anywhere. ``pays_fees_in`` is the asset
    in which the account pays its fees at a discount, such as BNB; empty is the asset that a trade brings.
    """

    name: str
    key: str
    secret: str = ""
    public_key: str = ""
    can_trade: bool = True
    can_withdraw: bool = False
    addresses: tuple[str, ...] = ()
    pays_fees_in: str = ""

    def __repr__(self) -> str:
        return f"Account({self.name!r})"  # neither the key nor the secret reaches a log


class OpenAccount(msgspec.Struct, frozen=True, tag="account", array_like=True):
    """Open an account, or replace the one with this name or key."""

    account: Account


class Move(msgspec.Struct, frozen=True, tag="move", array_like=True):
    """Deposit ``amount`` of ``asset``; a negative amount withdraws. ``listed``: it is in the account's history."""

    account: str
    asset: str
    amount: Decimal
    listed: bool = True


class Convert(msgspec.Struct, frozen=True, tag="convert", array_like=True):
    """Exchange ``spent`` of ``asset`` for ``received`` of ``into``, beside the markets. ``dust``: a remainder that was
    too small for an order. ``listed``: it is in the account's history."""

    account: str
    asset: str
    spent: Decimal
    into: str
    received: Decimal
    dust: bool = False
    listed: bool = True


class SetMarket(msgspec.Struct, frozen=True, tag="market", array_like=True):
    """Add a market, or change its filters, fees or status."""

    market: Market


class Place(msgspec.Struct, frozen=True, tag="place", array_like=True, gc=False):
    """Place an order."""

    order: NewOrder


class PlaceList(msgspec.Struct, frozen=True, tag="list", array_like=True):
    """Place two orders where a fill of one cancels the other. ``client_id`` is that of the list."""

    orders: tuple[NewOrder, NewOrder]
    client_id: str


class Cancel(msgspec.Struct, frozen=True, tag="cancel", array_like=True, gc=False):
    """Cancel a working order by its number. ``client_id`` is the id of the cancellation itself."""

    account: str
    symbol: str
    number: int
    client_id: str = ""


class Reduce(msgspec.Struct, frozen=True, tag="reduce", array_like=True, gc=False):
    """Reduce a working order to ``quantity`` (base, including what is filled). It gets ``client_id``."""

    account: str
    symbol: str
    number: int
    quantity: Decimal
    client_id: str


class Expire(msgspec.Struct, frozen=True, tag="expire", array_like=True, gc=False):
    """Remove a working order, as a venue does during maintenance."""

    account: str
    symbol: str
    number: int


Command = OpenAccount | Move | Convert | SetMarket | Place | PlaceList | Cancel | Reduce | Expire
