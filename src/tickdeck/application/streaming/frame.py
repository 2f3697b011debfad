"""A message as a venue sent it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Frame"]


class Frame(NamedTuple):
    """A message of a venue: when we received it (ns UTC), and its bytes, without a line break."""

    received: int
    data: bytes
