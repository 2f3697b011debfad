"""A measurement: set up once, repeated often."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

__all__ = ["Figures", "Session", "rate", "timed"]

Figures: TypeAlias = dict[str, float]
"""The result of one repetition: ``value`` (for Tickdeck or a peer), ``ceiling`` if there is one, and others."""
Session: TypeAlias = Callable[[], Figures]
"""Runs one repetition; call it repeatedly."""


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """``with timed() as seconds: ...``; afterwards ``seconds()`` is the duration of the block."""
    began = time.perf_counter()
    ended = began

    def seconds() -> float:
        return ended - began

    try:
        yield seconds
    finally:
        ended = time.perf_counter()


def rate(count: int, work: Callable[[], object]) -> float:
    """The rate per second if ``work()`` processes ``count`` items."""
    with timed() as seconds:
        work()
    return count / seconds()
