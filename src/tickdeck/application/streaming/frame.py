"""A message from a venue, as received."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Frame"]


class Frame(NamedTuple):
    """A message from a venue: the time of receipt (ns UTC), and its bytes, without a line break."""

    received: int
    data: bytes
