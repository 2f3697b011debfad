"""The amend requests of one order."""

from __future__ import annotations

import msgspec

from tickdeck.domain.values import Quantity

__all__ = ["AmendRequests"]


class AmendRequests(msgspec.Struct):
    """Numbers the amend requests of an order and remembers those that the venue has not answered.

    ``count`` is the number of requests, which is also the revision of the newest one. ``revision in requests`` is true
    while that request has no answer.
    """

    count: int = 0
    _quantities: dict[int, Quantity] = {}  # of the unanswered requests, by revision, ascending

    def __contains__(self, revision: int) -> bool:
        return revision in self._quantities

    def unanswered(self, confirmed: int) -> dict[int, Quantity]:
        """The quantities of the unanswered requests (base) by revision, ascending, without those before the amend
        ``confirmed``, which they can no longer undo."""
        return {revision: asked for revision, asked in self._quantities.items() if revision > confirmed}

    def request(self, quantity: Quantity) -> int:
        """Add a request for a total of ``quantity`` (base). Returns its revision."""
        self.count += 1
        self._quantities[self.count] = quantity
        return self.count

    def restore(self, revision: int, quantity: Quantity) -> None:
        """Add a request from the tape."""
        self.count = revision
        self._quantities[revision] = quantity

    def close(self, revision: int) -> None:
        """The venue answered the request. Does nothing if it is not waiting for an answer."""
        self._quantities.pop(revision, None)

    def largest_quantity(self, quantity: Quantity, confirmed: int, without: int = 0) -> Quantity:
        """The largest quantity (base) that the order may have at the venue: ``quantity``, which the amend ``confirmed``
        set, or that of a later unanswered request other than ``without``."""
        largest = quantity
        for revision in reversed(self._quantities):
            if revision <= confirmed:
                break
            if revision != without:
                largest = max(largest, self._quantities[revision])
        return largest
