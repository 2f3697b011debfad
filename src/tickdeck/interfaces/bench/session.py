"""What a measurement is: something that was set up once and can be repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

__all__ = ["Figures", "Session", "rate", "timed"]

Figures: TypeAlias = dict[str, float]
"""What one repetition gives: ``value`` (Tickdeck's figure, or a peer's), ``ceiling`` where there is one, others."""
Session: TypeAlias = Callable[[], Figures]
"""One repetition, to be called again and again."""


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """``with timed() as seconds: ...``, then ``seconds()`` is how long the block took."""
    began = time.perf_counter()
    ended = began

    def seconds() -> float:
        return ended - began

    try:
        yield seconds
    finally:
        ended = time.perf_counter()


def rate(count: int, work: Callable[[], object]) -> float:
    """Per second, where ``work()`` does ``count``."""
    with timed() as seconds:
        work()
    return count / seconds()
