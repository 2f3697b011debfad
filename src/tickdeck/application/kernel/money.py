"""The decimal context in which the core computes, so that money never depends on the settings of a thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    getcontext,
    setcontext,
)
from typing import Any, NoReturn

__all__ = ["MONEY_CONTEXT", "money_context", "user_context"]

_SETTINGS: dict[str, Any] = {
    "prec": 28,
    "rounding": ROUND_HALF_EVEN,
    "Emin": -999_999,
    "Emax": 999_999,
    "capitals": 1,
    "clamp": 0,
    "flags": [],
    "traps": [InvalidOperation, DivisionByZero, Overflow],
}
"""Python's own defaults, written out: a program may change those."""


class _FixedContext(Context):
    """A context that cannot be changed: ``getcontext().prec = 6`` in a handler raises."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"decimal context: {name} is fixed while the kernel runs a handler, since all share it; "
            "compute in `with decimal.localcontext() as context:`"
        )

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        return dict(value) if name == "traps" else value  # a copy: changing it changes nothing


MONEY_CONTEXT: Context = _FixedContext(**_SETTINGS)
"""28 digits, half-even. ``Kernel.feed`` runs every cascade in it."""


@contextmanager
def money_context() -> Iterator[None]:
    """The block computes in ``MONEY_CONTEXT``: for drivers, and for figures that are made of the core's money."""
    callers = getcontext()
    try:
        setcontext(MONEY_CONTEXT)
        yield
    finally:
        setcontext(callers)


def user_context() -> Context:
    """A context with the same settings that a strategy may change: it is the strategy's alone."""
    return Context(**_SETTINGS)
