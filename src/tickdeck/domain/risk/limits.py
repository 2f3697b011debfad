"""Limits on the orders of strategies, as values and pure checks.

``check_order`` checks one order. ``OrderRate`` and ``DailyLoss`` keep the state that they need. Each check returns
``None`` if it passes, or a ``Breach``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Self

import msgspec

from tickdeck.domain.events import ActionIntent, DomainEvent, RiskApprovedEvent, RiskDayStarted
from tickdeck.domain.market import Instrument
from tickdeck.domain.values import ZERO, Money, OrderType, Price, Quantity, Side
from tickdeck.errors import ConfigError, format_value

__all__ = ["DEFAULT_LIMITS", "Breach", "DailyLoss", "OrderRate", "RiskLimits", "check_order", "only_reduces"]

_SECOND = 1_000_000_000
_DOLLARS = ("USD", "USDT", "USDC", "FDUSD", "BUSD", "TUSD", "DAI")
"""Currencies that the limits treat as equal, unless ``rates`` says otherwise."""


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of an account. ``None`` means no limit.

    - ``currency``: the currency of the amounts below.
    - ``rates``: the value of one unit of another quote currency in ``currency``, such as ``{"ETH": 2500}``. Without an
      entry, the last prices of the run's symbols are used. Dollars and the common dollar coins count as equal. If there
      is no rate at all, an order in that quote currency is refused, unless no amount is limited.
    - ``max_order_notional``: price x quantity of one order.
    - ``max_position_notional``: the position in one symbol, long or short, assuming that all open orders on the same
      side are filled. Coins that the account has at the start are part of the position.
    - ``max_orders_per_second``: in any window of one second, not per second of the clock.
    - ``max_daily_loss``: trading halts if the equity falls by this amount from its value at the start of the day (UTC).
    - ``price_band``: the largest distance of a limit price from the last price, as a fraction (0.05 is 5 %).

    An order that only reduces a position passes all of them.

    Raises ``ConfigError`` if a limit or a rate is not above 0 or has the wrong type.
    """

    currency: str = "USDT"
    rates: dict[str, Decimal] = {}
    max_order_notional: Decimal | None = None
    max_position_notional: Decimal | None = None
    max_orders_per_second: int | None = None
    max_daily_loss: Decimal | None = None
    price_band: Decimal | None = None

    def __post_init__(self) -> None:
        for name in ("max_order_notional", "max_position_notional", "max_daily_loss", "price_band"):
            value = getattr(self, name)
            if value is not None and (type(value) is not Decimal or not value.is_finite() or value <= 0):
                raise ConfigError(
                    f"risk limits: {name} is {format_value(value)}; give a decimal above 0, or none for no limit"
                )
        if not self.currency:
            raise ConfigError("risk limits: currency is empty; give the currency of the amounts, such as 'USDT'")
        for quote, worth in self.rates.items():
            if type(worth) is not Decimal or not worth.is_finite() or worth <= 0:
                raise ConfigError(
                    f"risk limits: rates[{quote!r}] is {format_value(worth)}; "
                    f"give what one {quote} is worth in {self.currency}, a decimal above 0"
                )
        rate = self.max_orders_per_second
        if rate is not None and (type(rate) is not int or rate < 1):
            raise ConfigError(
                f"risk limits: max_orders_per_second is {format_value(rate)}; "
                "give a whole number of at least 1, or none for no limit"
            )

    def rate(self, quote: str) -> Decimal | None:
        """The value of one unit of ``quote`` in ``currency``; ``None`` if it is not configured."""
        if quote == self.currency:
            return _ONE
        worth = self.rates.get(quote)
        if worth is None and quote in _DOLLARS and self.currency in _DOLLARS:
            return _ONE
        return worth


_ONE = Decimal(1)

DEFAULT_LIMITS = RiskLimits(
    max_order_notional=Decimal(10_000),
    max_position_notional=Decimal(50_000),
    max_orders_per_second=10,
    max_daily_loss=Decimal(5_000),
    price_band=Decimal("0.05"),
)
"""For the built-in example run, with 100,000 USDT and bitcoin at about 60,000. An order is at most a tenth of the
account (about 0.16 BTC), a position half of it, and a daily loss a twentieth. A sound strategy on candles sends fewer
than ten orders per second. A distance of 5 % from the last price is far more than the book moves within seconds, and
small enough to catch a typing error."""


class Breach(msgspec.Struct, frozen=True):
    """A limit was breached. ``limit`` is its name, ``detail`` the explanation."""

    limit: str
    detail: str


def only_reduces(side: Side, quantity: Quantity, position: Quantity, working: Quantity = ZERO) -> bool:
    """Whether an order of ``quantity`` (base) can only make ``position`` smaller, even if everything ``working`` on the
    same side is filled before it."""
    return position * side.sign < 0 and quantity + working <= abs(position)


def check_order(
    limits: RiskLimits,
    instrument: Instrument,
    *,
    side: Side,
    quantity: Quantity,
    limit: Price | None,
    reference: Price | None,
    position: Quantity,
    working: Quantity = ZERO,
    rate: Decimal | None = None,
) -> Breach | None:
    """The first limit that an order would breach; ``None`` if it may be sent.

    - ``limit``: its limit price in quote; ``None`` for a market order. ``reference``: the last price in quote.
    - ``position``: the signed quantity held (base). ``working``: what open orders on the same ``side`` may still fill
      (base).
    - ``rate``: the value of one unit of the quote currency in the currency of the limits, by the prices seen.
      ``limits.rates`` takes precedence.

    The checks, in this order: ``reference_price`` (without a price the order has no value), ``instrument`` (the venue's
    filters), ``price_band``, ``currency`` (there is no rate, and an amount is limited), ``max_order_notional``,
    ``max_position_notional``. An amount equal to its limit passes. A sale is valued at the higher of its limit and the
    last price, because it fills at its limit or better.

    An order that only reduces the position needs to pass only the first two.

    The position limit assumes the worst case: this order and all ``working`` ones are filled. It never refuses an order
    that reduces the position, even if the price has carried the position over the limit, unless the worst case is a
    larger position on the other side. So open orders may together reverse a position, but not enlarge it.
    """
    if reference is None:
        return Breach("reference_price", f"there is no price of {instrument.symbol} yet, so the order cannot be valued")
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    price = reference if limit is None else limit
    violation = instrument.violation(kind, quantity, price)
    if violation is not None:
        return Breach("instrument", violation)
    if only_reduces(side, quantity, position, working):
        return None
    band = limits.price_band
    if band is not None and abs(price - reference) > band * reference:
        return Breach("price_band", f"limit {price} differs from the last price {reference} by more than {band} of it")
    worth = max(price, reference) if side is Side.SELL else price
    rate = limits.rate(instrument.quote) or rate
    if rate is None:
        if (limits.max_order_notional, limits.max_position_notional, limits.max_daily_loss) == (None, None, None):
            return None
        what = f"the limits are in {limits.currency} and {instrument.symbol} is quoted in {instrument.quote}"
        return Breach(
            "currency",
            f"{what}, and there is no rate between them; set [risk] rates = {{ {instrument.quote} = ... }} to what one"
            f" {instrument.quote} is worth, or add a tape with its price",
        )
    worth *= rate
    most = limits.max_order_notional
    if most is not None and worth * quantity > most:
        return Breach(
            "max_order_notional", f"{quantity} at {worth} is {worth * quantity} {limits.currency}; at most {most}"
        )
    most = limits.max_position_notional
    worst = position + side.sign * (quantity + working)
    reduces = quantity <= abs(position) and abs(worst) <= abs(position)
    if most is not None and not reduces and worth * abs(worst) > most:
        return Breach(
            "max_position_notional",
            f"position {position} could become {worst} with the open orders, {worth * abs(worst)} at {worth}; "
            f"at most {most}",
        )
    return None


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
            if isinstance(event, RiskApprovedEvent) and _counts(event.intent):
                rate._sent.append(event.ts_ingress)
        return rate

    @property
    def sent(self) -> tuple[int, ...]:
        """The times (ns) of the newest counted orders, oldest first; at most as many as one second may have."""
        return tuple(self._sent)

    def take(self, now: int) -> Breach | None:
        """Count an order at ``now`` (ns, never decreasing) if it is allowed. A refused order is not counted. Call this
        last, after all other checks have passed."""
        sent = self._sent
        if len(sent) == self.max_per_second and now - sent[0] < _SECOND:
            return Breach(
                "max_orders_per_second", f"{len(sent)} orders in the last second; at most {self.max_per_second}"
            )
        sent.append(now)
        return None


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
        return Breach("max_daily_loss", f"equity fell by {loss} since the start of the day; at most {self.limit}")
