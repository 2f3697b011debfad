"""What an event belongs to: an order, a position or a balance of an account. All events about it are one stream.

The events write the names of their streams out, because a call for each event is slow.
"""

from __future__ import annotations

from tickdeck.domain.events.base import DomainEvent

__all__ = ["OfBalance", "OfOrder", "OfPosition", "balance_stream", "order_stream", "position_stream"]


class OfOrder(DomainEvent, frozen=True, kw_only=True, gc=False):
    """``order_id`` is our client order id. ``user_id`` is the owner of the account; empty if there is none."""

    order_id: str
    symbol: str
    account_id: str = "main"
    user_id: str = ""

    @property
    def aggregate_id(self) -> str:
        return self.order_id

    @property
    def stream(self) -> str:
        return f"order/{self.account_id}/{self.order_id}"


class OfPosition(DomainEvent, frozen=True, kw_only=True, gc=False):
    """``user_id`` is the owner of the account; empty if there is none."""

    symbol: str
    account_id: str = "main"
    user_id: str = ""

    @property
    def aggregate_id(self) -> str:
        return f"{self.account_id}/{self.symbol}"

    @property
    def stream(self) -> str:
        return f"position/{self.account_id}/{self.symbol}"


class OfBalance(DomainEvent, frozen=True, kw_only=True, gc=False):
    """``user_id`` is the owner of the account; empty if there is none."""

    account_id: str = "main"
    user_id: str = ""
    currency: str

    @property
    def aggregate_id(self) -> str:
        return f"{self.account_id}/{self.currency}"

    @property
    def stream(self) -> str:
        return f"balance/{self.account_id}/{self.currency}"


def order_stream(account_id: str, order_id: str) -> str:
    """The stream of an order. It contains our conclusions and the reports from the venue."""
    return f"order/{account_id}/{order_id}"


def position_stream(account_id: str, symbol: str) -> str:
    """The stream of an account's position in one symbol."""
    return f"position/{account_id}/{symbol}"


def balance_stream(account_id: str, currency: str) -> str:
    """The stream of an account's balance in one currency. It contains our events and the reports from the venue."""
    return f"balance/{account_id}/{currency}"
