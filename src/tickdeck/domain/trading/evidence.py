"""The error for reports of the venue that contradict our order."""

from __future__ import annotations

from tickdeck.errors import TickdeckError

__all__ = ["OrderEvidenceError"]


class OrderEvidenceError(TickdeckError, ValueError):
    """A report cannot be true for the order that it names, so our books and the venue's differ.

    The order remains unchanged. The caller must stop trading, because the books are not reliable any more.
    """
