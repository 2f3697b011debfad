"""The decimal context for all computations of the core, so that money never depends on a thread's settings."""

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
"""Python's defaults. They are written out, because a program may change the defaults of its process."""


class _FixedContext(Context):
    """A read-only context: ``getcontext().prec = 6`` in a handler raises."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"decimal context: {name} is fixed while the kernel runs a handler, because all handlers share it; "
            "compute in `with decimal.localcontext() as context:`"
        )

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        return dict(value) if name == "traps" else value  # a copy, which may be changed freely


MONEY_CONTEXT: Context = _FixedContext(**_SETTINGS)
"""28 digits, half-even. ``Kernel.feed`` runs every cascade in it."""


@contextmanager
def money_context() -> Iterator[None]:
    """The block computes in ``MONEY_CONTEXT``. For drivers, and for figures based on the core's money."""
    callers = getcontext()
    try:
        setcontext(MONEY_CONTEXT)
        yield
    finally:
        setcontext(callers)


def user_context() -> Context:
    """A context with the same settings for one strategy, which may change it."""
    return Context(**_SETTINGS)
