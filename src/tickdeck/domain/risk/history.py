"""Limits that depend on the past: the order rate, the typical order size, the daily loss and the drawdown."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Context, Decimal
from typing import Self

from tickdeck.domain.events import ActionIntent, DomainEvent, RiskApprovedEvent, RiskDayStarted
from tickdeck.domain.risk.order_checks import Breach
from tickdeck.domain.values import ZERO, Money, Quantity, plain
from tickdeck.errors import ConfigError

__all__ = ["DailyLoss", "Drawdown", "OrderRate", "TypicalOrder"]

_EIGHT = Context(prec=8)
_SECOND = 1_000_000_000
_REMEMBERED = 20  # orders of one strategy in one symbol
_TYPICAL_FROM = 5  # from this many orders on, a quantity is typical


def _counts(intent: ActionIntent) -> bool:
    """Whether the order rate counts the intent."""
    return intent.action != "cancel" and not intent.reduce_only


class OrderRate:
    """At most ``max_per_second`` orders in any window of one second, by the run's clock (ns)."""

    __slots__ = ("_sent", "max_per_second")

    def __init__(self, max_per_second: int) -> None:
        if max_per_second < 1:
            raise ConfigError(f"order rate: max_per_second is {max_per_second}; give a whole number of at least 1")
        self.max_per_second: int = max_per_second
        # These are enough: the next order is allowed when the oldest of them is one second old.
        self._sent: deque[int] = deque(maxlen=max_per_second)

    @classmethod
    def fold(cls, max_per_second: int, events: Iterable[DomainEvent]) -> Self:
        """The state after ``events``, in order. It counts approved orders and amends (``risk.approved``) by
        ``ts_ingress``, except those that only reduce a position."""
        rate = cls(max_per_second)
        for event in events:
            rate.apply_event(event)
        return rate

    def apply_event(self, event: DomainEvent) -> None:
        """Apply the next recorded event, as ``fold`` does."""
        if isinstance(event, RiskApprovedEvent) and _counts(event.intent):
            self._sent.append(event.ts_ingress)

    @property
    def sent(self) -> tuple[int, ...]:
        """The times (ns) of the newest counted orders, oldest first; at most as many as one second may have."""
        return tuple(self._sent)

    def take(self, now: int) -> Breach | None:
        """Count an order at ``now`` (ns, never decreasing) if it is allowed. A refused order is not counted. Call this
        last, after all other checks have passed."""
        sent = self._sent
        if len(sent) == self.max_per_second and now - sent[0] < _SECOND:
            return self._breach()
        sent.append(now)
        return None

    def judge(self, now: int) -> Breach | None:
        """What ``take`` would return, without counting anything."""
        sent = self._sent
        return self._breach() if len(sent) == self.max_per_second and now - sent[0] < _SECOND else None

    def _breach(self) -> Breach:
        most = self.max_per_second
        return Breach("max_orders_per_second", f"{len(self._sent)} orders in the last second; at most {most}")


class DailyLoss:
    """The loss of equity since the start of the day.

    ``start_equity`` (quote) is from the newest ``risk.day_started``; ``None`` before the first. The risk engine
    publishes that event at midnight (UTC), and when trading resumes after the loss limit.
    """

    __slots__ = ("limit", "start_equity")

    def __init__(self, limit: Money) -> None:
        self.limit: Money = limit
        self.start_equity: Money | None = None

    @classmethod
    def fold(cls, limit: Money, events: Iterable[DomainEvent]) -> Self:
        """The state after ``events`` of one account, in order. Only ``risk.day_started`` counts."""
        daily_loss = cls(limit)
        for event in events:
            if isinstance(event, RiskDayStarted):
                daily_loss.apply(event)
        return daily_loss

    def apply(self, started: RiskDayStarted) -> None:
        """Start a day, with the equity of the event."""
        self.start_equity = started.equity

    def judge(self, equity: Money) -> Breach | None:
        """A breach if the loss has reached the limit at ``equity`` (quote). ``None`` otherwise, and before the first
        day has started."""
        if self.start_equity is None:
            return None
        loss = self.start_equity - equity
        if loss < self.limit:
            return None
        return Breach(
            "max_daily_loss", f"equity fell by {plain(loss)} since the start of the day; at most {plain(self.limit)}"
        )


class Drawdown:
    """The fall of equity from its peak. ``limit`` is the largest share of the peak that may be lost.

    ``peak`` (quote) is the highest equity that ``judge`` was given since ``restart``.
    """

    __slots__ = ("limit", "peak")

    def __init__(self, limit: Decimal) -> None:
        self.limit: Decimal = limit
        self.peak: Money = ZERO

    @property
    def floor(self) -> Money:
        """The equity at which the limit is reached."""
        return self.peak * (1 - self.limit)

    def restart(self, equity: Money) -> None:
        """Count from ``equity``."""
        self.peak = equity

    def paid_in(self, amount: Money) -> None:
        """Count a deposit (a withdrawal is negative) as if it had been there before: it is neither a gain nor a
        loss.
        """
        self.peak += amount

    def judge(self, equity: Money) -> Breach | None:
        """A breach if ``equity`` has fallen to the floor. A new high moves the peak."""
        if equity >= self.peak:
            self.peak = equity
            return None
        if equity > self.floor or self.peak <= 0:
            return None
        lost = (self.peak - equity) / self.peak * 100
        return Breach(
            "max_drawdown",
            f"equity is {_short(equity)}, {_short(lost)} % below its peak of {_short(self.peak)}; "
            f"at most {_short(self.limit * 100)} %",
        )


class TypicalOrder:
    """How much each strategy usually orders in each symbol: the median of its last 20 orders (base).

    An order of more than ``multiple`` times that is probably a mistake. Before a strategy has ordered five times in a
    symbol, nothing is typical, and every quantity passes.
    """

    __slots__ = ("_recent", "multiple")

    def __init__(self, multiple: Decimal) -> None:
        self.multiple: Decimal = multiple
        self._recent: dict[tuple[str, str], deque[Quantity]] = {}

    @classmethod
    def fold(cls, multiple: Decimal, events: Iterable[DomainEvent]) -> Self:
        """The state after ``events``, in order. It counts approved orders (``risk.approved``) except those that only
        reduce a position."""
        typical = cls(multiple)
        for event in events:
            typical.apply_event(event)
        return typical

    def apply_event(self, event: DomainEvent) -> None:
        """Apply the next recorded event, as ``fold`` does."""
        if isinstance(event, RiskApprovedEvent):
            self.count(event.strategy_id, event.intent)

    @property
    def recent(self) -> dict[tuple[str, str], tuple[Quantity, ...]]:
        """The counted quantities, oldest first, by strategy and symbol."""
        return {key: tuple(quantities) for key, quantities in self._recent.items()}

    def count(self, strategy_id: str, intent: ActionIntent) -> None:
        """Remember an approved intent."""
        if intent.action != "order" or intent.reduce_only:
            return
        key = (strategy_id, intent.symbol)
        quantities = self._recent.get(key)
        if quantities is None:
            quantities = self._recent[key] = deque(maxlen=_REMEMBERED)
        quantities.append(intent.quantity)

    def judge(self, strategy_id: str, symbol: str, quantity: Quantity) -> Breach | None:
        """A breach if ``quantity`` (base) is far more than usual."""
        recent = self._recent.get((strategy_id, symbol), ())
        if len(recent) < _TYPICAL_FROM:
            return None
        usual = _median(recent)
        if quantity <= self.multiple * usual:
            return None
        return Breach(
            "max_order_multiple",
            f"{plain(quantity)} {symbol} in one order, where the last {len(recent)} had a median of {plain(usual)}; "
            f"at most {plain(self.multiple)} times as much",
        )


def _short(value: Decimal) -> str:
    """Formats a number with at most eight significant digits."""
    return f"{_EIGHT.plus(value).normalize():f}"


def _median(quantities: Iterable[Quantity]) -> Quantity:
    ordered = sorted(quantities)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
