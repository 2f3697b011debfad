"""What a strategy or a portfolio is in at an instant, in figures for whoever watches."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

import msgspec

from tickdeck.domain.events.base import DomainEvent, invalid
from tickdeck.domain.values import Price, Quantity
from tickdeck.errors import EventValidationError

__all__ = ["StateLeg", "StateUpdated"]

_KINDS = ("strategy", "portfolio")


class StateLeg(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """One symbol's part: ``quantity`` in base, negative when short; ``average_price`` in quote, ``None`` where the
    owner does not know it.

    Raises ``EventValidationError`` where a number is no finite ``Decimal``."""

    symbol: str
    quantity: Quantity
    average_price: Price | None = None

    def __post_init__(self) -> None:
        for name, value in (("quantity", self.quantity), ("average_price", self.average_price)):
            if name == "average_price" and value is None:
                continue
            if type(value) is not Decimal or not value.is_finite():
                wanted = "it must be a finite decimal.Decimal (a float is not exact)"
                raise EventValidationError(f"state leg: {name} is {value!r}; {wanted}")


class StateUpdated(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The state of a strategy or of a portfolio, in its owner's words. Emitted by a strategy's ``update_state`` and,
    after each fill, by the portfolio engine.

    ``owner`` is a strategy's id or an account's, ``kind`` is ``strategy`` or ``portfolio``. ``values`` are text by name
    (decimals as text; a portfolio's amounts in its quote currency), ``legs`` the parts by symbol."""

    event_type: ClassVar[str] = "state.updated"
    owner: str
    kind: str
    values: dict[str, str] = {}
    legs: tuple[StateLeg, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise invalid(self, "kind", "'strategy' or 'portfolio'")

    @property
    def aggregate_id(self) -> str:
        return self.owner

    @property
    def stream(self) -> str:
        return f"state/{self.kind}/{self.owner}"
