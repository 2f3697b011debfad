"""A histogram of durations whose memory does not grow with the number of values."""

from __future__ import annotations

__all__ = ["LatencyHistogram"]

_STEPS = 5  # significant bits of a value: a bucket is at most 1/16 wide


class LatencyHistogram:
    """Counts nanoseconds in buckets that widen with the value. Quantiles are accurate to about 6 %; ``maximum`` is
    exact."""

    __slots__ = ("_buckets", "count", "maximum")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.maximum = 0

    def add(self, ns: int) -> None:
        """Count a value. Negative values count as 0."""
        ns = max(ns, 0)
        shift = max(ns.bit_length() - _STEPS, 0)
        lower = ns >> shift << shift
        self._buckets[lower] = self._buckets.get(lower, 0) + 1
        self.count += 1
        if ns > self.maximum:
            self.maximum = ns

    def quantile(self, fraction: float) -> int | None:
        """The lower bound (ns) of the bucket that contains the ``fraction`` quantile (0 to 1); ``None`` without
        values."""
        if not self.count:
            return None
        left = fraction * self.count
        for lower in sorted(self._buckets):
            left -= self._buckets[lower]
            if left <= 0:
                return lower
        return self.maximum
