"""The state of a strategy or a portfolio, for display and monitoring."""

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
    """The position in one symbol. ``quantity`` is in base, negative when short; ``average_price`` is in quote, ``None``
    if the owner does not know it.

    Raises ``EventValidationError`` if a number is not a finite ``Decimal``.
    """

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
    """The state of a strategy or a portfolio, as its owner describes it. Emitted by a strategy's ``update_state`` and,
    after each fill, by the portfolio engine.

    ``kind`` is ``strategy`` or ``portfolio``, and ``owner`` is the id of the strategy or account. ``values`` maps names
    to text; decimals are text too, and amounts of a portfolio are in its quote currency. ``legs`` are the positions by
    symbol.
    """

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
