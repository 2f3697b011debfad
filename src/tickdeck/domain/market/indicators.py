"""Indicators. Each is a small object that receives one observation at a time.

``update(...)`` takes the next observation and returns the new ``value``, which is ``None`` until the indicator has seen
enough. Values are floats, because they are not money. The cost of an update does not depend on the period (for
``BookImbalance``, only on the depth). An invalid period raises ``ConfigError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import fsum

from tickdeck.domain.values import ZERO, Level
from tickdeck.errors import ConfigError

__all__ = ["Atr", "BookImbalance", "Ema", "Rsi", "Sma", "Vwap"]


class Ema:
    """Exponential moving average: ``ema += alpha * (x - ema)``, seeded with the first observation.

    - ``Ema(period)``: ``alpha = 2 / (period + 1)``. It has a value from the ``period``-th observation on, when the
      weight of the first one is about 1/7.4.
    - ``Ema(period, seed="sma")``: seeded as in TA-Lib. The first value is the mean of the first ``period``
      observations. The two converge as data arrives.
    - ``Ema(alpha=0.1)``: has a value from the first observation on.
    """

    __slots__ = ("_ema", "_first", "_missing", "alpha", "value")

    def __init__(self, period: int | None = None, *, alpha: float | None = None, seed: str = "first") -> None:
        if (period is None) == (alpha is None):
            raise ConfigError("ema: give either a period or an alpha")
        if period is not None:
            alpha = 2.0 / (_at_least_one("ema", "period", period) + 1)
        if alpha is None or not 0.0 < alpha <= 1.0:
            raise ConfigError(f"ema: alpha is {alpha!r}; give a number above 0 and at most 1")
        if seed not in ("first", "sma"):
            raise ConfigError(f"ema: seed is {seed!r}; give 'first' or 'sma'")
        if seed == "sma" and period is None:
            raise ConfigError("ema: seed 'sma' needs a period")
        self.alpha: float = alpha
        self.value: float | None = None
        self._ema: float | None = None
        self._missing: int = period or 1
        self._first: list[float] | None = [] if seed == "sma" else None

    def update(self, x: float) -> float | None:
        if self._first is not None:
            self._first.append(x)
            self._missing -= 1
            if self._missing:
                return None
            self.value = self._ema = fsum(self._first) / len(self._first)
            self._first, self._missing = None, 1
            return self.value
        ema = self._ema
        self._ema = ema = x if ema is None else ema + self.alpha * (x - ema)
        if self._missing > 1:
            self._missing -= 1
            return None
        self.value = ema
        return ema


class _WindowSum:
    """The sum of the last ``size`` numbers, or of all numbers if ``size`` is ``None``.

    ``total`` is rounded once, as that of ``fsum``: what the rounding of each addition loses is kept and added (T. J.
    Dekker, 1971). The sum of a window is recomputed every ``size`` numbers. ``fsum``, unlike ``sum``, gives the same
    digits on every Python version.
    """

    __slots__ = ("_high", "_lost", "_next", "_ring", "_size", "total")

    def __init__(self, size: int | None) -> None:
        self._size: int | None = size
        self.total: float = 0.0
        self._high: float = 0.0  # the sum, rounded after each addition
        self._lost: float = 0.0  # by these
        self._ring: list[float] = []
        self._next: int = 0

    @property
    def is_full(self) -> bool:
        return self._size is None or len(self._ring) == self._size

    def push(self, x: float) -> float:
        ring, size, at = self._ring, self._size, self._next
        before = self._high
        high = before + x
        part = high - before
        lost = self._lost + ((before - (high - part)) + (x - part))
        if size is not None:
            if len(ring) < size:
                ring.append(x)
            else:
                before, gone = high, -ring[at]
                high = before + gone
                part = high - before
                lost += (before - (high - part)) + (gone - part)
                ring[at] = x
            at += 1
            if at == size:
                at = 0
                high = fsum(ring)
                lost = fsum((*ring, -high))
            self._next = at
        self._high, self._lost = high, lost
        self.total = high + lost
        return self.total


class Sma:
    """Simple moving average: the mean of the last ``period`` observations. It has a value after ``period``
    observations."""

    __slots__ = ("_sum", "period", "value")

    def __init__(self, period: int) -> None:
        self.period: int = _at_least_one("sma", "period", period)
        self.value: float | None = None
        self._sum = _WindowSum(period)

    def update(self, x: float) -> float | None:
        total = self._sum.push(x)
        if self._sum.is_full:
            self.value = total / self.period
        return self.value


class Rsi:
    """Relative strength index (J. W. Wilder, New Concepts in Technical Trading Systems, 1978), 0 to 100.

    G and L are the averages of the rises and the falls between observations::

        rsi = 100 - 100 / (1 + G / L) = 100 * G / (G + L)

    The first averages are the means of the first ``period`` changes, so the first value comes with observation ``period
    + 1``. From then on ``G = (G * (period - 1) + rise) / period``, and the same for L. The value is 50 if nothing
    moved.
    """

    __slots__ = ("_changes", "_fall", "_last", "_rise", "period", "value")

    def __init__(self, period: int = 14) -> None:
        self.period: int = _at_least_one("rsi", "period", period)
        self.value: float | None = None
        self._last: float | None = None
        self._rise: float = 0.0  # the sum of rises while warming up, their average after
        self._fall: float = 0.0
        self._changes: int = 0

    def update(self, x: float) -> float | None:
        last, self._last = self._last, x
        if last is None:
            return None
        change, n = x - last, self.period
        rise, fall = (change, 0.0) if change > 0.0 else (0.0, -change)
        if self._changes < n:
            self._changes += 1
            self._rise += rise
            self._fall += fall
            if self._changes < n:
                return None
            self._rise /= n
            self._fall /= n
        else:
            self._rise = (self._rise * (n - 1) + rise) / n
            self._fall = (self._fall * (n - 1) + fall) / n
        both = self._rise + self._fall
        # Divide first: the share is at most 1, so rounding cannot bring the value above 100.
        self.value = value = 100.0 * (self._rise / both) if both > 0.0 else 50.0
        return value


class Atr:
    """Average true range (J. W. Wilder, New Concepts in Technical Trading Systems, 1978), in quote.

    The true range of a candle is its range, extended to the close before it::

        tr = max(high, last close) - min(low, last close)

    The first value is the mean of the first ``period`` true ranges, and comes with candle ``period + 1``, because the
    first candle has no close before it. From then on ``atr = (atr * (period - 1) + tr) / period``.
    """

    __slots__ = ("_close", "_count", "_range", "period", "value")

    def __init__(self, period: int = 14) -> None:
        self.period: int = _at_least_one("atr", "period", period)
        self.value: float | None = None
        self._close: float | None = None
        self._range: float = 0.0  # the sum while warming up, the average after
        self._count: int = 0

    def update(self, high: float, low: float, close: float) -> float | None:
        """Add a candle with these prices (quote)."""
        last, self._close = self._close, close
        if last is None:
            return None
        true_range, n = max(high, last) - min(low, last), self.period
        if self._count < n:
            self._count += 1
            self._range += true_range
            if self._count < n:
                return None
            self._range /= n
        else:
            self._range = (self._range * (n - 1) + true_range) / n
        self.value = self._range
        return self.value


class Vwap:
    """Volume-weighted average price: the sum of price x quantity divided by the sum of quantity.

    ``Vwap(window)`` uses the last ``window`` trades, and has a value after that many. ``Vwap()`` uses all trades since
    the session began; ``reset()`` begins a session.
    """

    __slots__ = ("_money", "_quantity", "value", "window")

    def __init__(self, window: int | None = None) -> None:
        self.window: int | None = None if window is None else _at_least_one("vwap", "window", window)
        self.reset()

    def reset(self) -> None:
        """Start a new session."""
        self.value: float | None = None
        self._money = _WindowSum(self.window)
        self._quantity = _WindowSum(self.window)

    def update(self, price: float, quantity: float) -> float | None:
        """Add a trade with ``price`` (quote) and ``quantity`` (base, above 0)."""
        money = self._money.push(price * quantity)
        total = self._quantity.push(quantity)
        if self._money.is_full and total > 0.0:
            self.value = money / total
        return self.value


class BookImbalance:
    """Which side of the book is larger near the best price, from -1 (only asks) to 1 (only bids)::

        (sum of bid quantities - sum of ask quantities) / (sum of both)      over the best ``depth`` levels per side

    ``None`` if both sides are empty.
    """

    __slots__ = ("depth", "value")

    def __init__(self, depth: int = 5) -> None:
        self.depth: int = _at_least_one("book imbalance", "depth", depth)
        self.value: float | None = None

    def update(self, bids: Sequence[Level], asks: Sequence[Level]) -> float | None:
        """``bids`` are sorted from the highest price down, ``asks`` from the lowest up; each level is (price, quantity)
        as decimals."""
        bid = _quantity(bids[: self.depth])
        ask = _quantity(asks[: self.depth])
        both = bid + ask
        self.value = value = float(bid - ask) / float(both) if both else None
        return value


def _quantity(levels: Sequence[Level]) -> Decimal:
    total = ZERO
    for _, quantity in levels:
        total += quantity
    return total


def _at_least_one(indicator: str, name: str, value: int) -> int:
    if type(value) is not int or value < 1:
        raise ConfigError(f"{indicator}: {name} is {value!r}; give a whole number of at least 1")
    return value
