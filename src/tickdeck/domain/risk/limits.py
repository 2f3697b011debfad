"""The limits that stand between a strategy's intent and an order, as values and pure checks.

What passes is for ``check_order`` to say, order by order; ``OrderRate`` and ``DailyLoss`` remember what they need to.
All of them answer ``None`` (let it pass) or a ``Breach`` that names the limit and says in words what was asked and
allowed.
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
"""Taken as equal by the limits, unless ``rates`` says otherwise."""


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an account may do; a limit that is ``None`` does not limit.

    - ``currency``: what the amounts below are in.
    - ``rates``: what one unit of another quote currency is worth in ``currency``, such as ``{"ETH": 2500}``. Without
      one the last prices of the run's symbols count. Dollars and the common dollar coins count as equal. An order in a
      quote currency without any rate is refused while an amount limits it.
    - ``max_order_notional``: price x quantity of one order.
    - ``max_position_notional``: of one symbol's position, long or short, were all open orders of the same side filled.
    - ``max_orders_per_second``: in any window of a second, not in each second of the clock.
    - ``max_daily_loss``: fall of the equity since the start of the day (UTC) at which trading halts.
    - ``price_band``: how far a limit price may be from the last price, as a fraction of it (0.05 is 5 %).

    An order that only reduces a position passes all of them.

    Raises ``ConfigError`` where a limit or a rate is not above 0 or not of its type.
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
        """What one unit of ``quote`` is worth in ``currency``; ``None`` where nobody said."""
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
"""For the embedded run, of 100,000 USDT and a bitcoin at some 60,000: an order is at most a tenth of the account
(about 0.16 BTC), a position half of it, a day's loss a twentieth; ten orders a second are more than a sound strategy
on candles sends; 5 % from the last price is well outside of what a bitcoin's book moves in seconds, and inside of a
typing error."""


class Breach(msgspec.Struct, frozen=True):
    """``limit`` is the name of what was breached, ``detail`` says it in words."""

    limit: str
    detail: str


def only_reduces(side: Side, quantity: Quantity, position: Quantity, working: Quantity = ZERO) -> bool:
    """An order of ``quantity`` (base) can only make ``position`` smaller, also if all that is ``working`` of the same
    side is filled before."""
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
    """The first limit that an order would breach, ``None`` where it may go.

    ``limit`` is its limit price (``None``: a market order) and ``reference`` the last price, both in quote;
    ``position`` is the signed quantity held (base) and ``working`` what is still to be filled of the open orders of
    the same ``side`` (base).

    In turn: ``reference_price`` (nothing can be valued before a price was seen), ``instrument`` (the venue's
    filters), ``price_band``, ``max_order_notional``, ``max_position_notional``. An amount equal to its limit passes.
    A sale is valued at the higher of its limit and the last price, since it fills at its limit or better.

    The amounts are converted into the limits' currency: as ``limits.rates`` says, else at ``rate``, what one
    unit of the quote currency is worth by the prices seen. Without a rate the order is refused (``currency``), as long
    as an amount limits it.

    An order that only reduces the position passes all but the venue's filters.

    The position limit looks at the worst case, in which this order and all ``working`` ones are filled. It never
    refuses an order that brings the position down (against it, and no larger than it), also where a move of the price
    has carried it over the limit, unless the worst case is a larger position on the other side: orders in flight may
    add up to one flip, not to more.
    """
    if reference is None:
        return Breach("reference_price", f"no price of {instrument.symbol} was seen yet, so the order cannot be valued")
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    price = reference if limit is None else limit
    violation = instrument.violation(kind, quantity, price)
    if violation is not None:
        return Breach("instrument", violation)
    if only_reduces(side, quantity, position, working):
        return None
    band = limits.price_band
    if band is not None and abs(price - reference) > band * reference:
        return Breach("price_band", f"limit {price} is further than {band} of the last price {reference} from it")
    worth = max(price, reference) if side is Side.SELL else price
    rate = limits.rate(instrument.quote) or rate
    if rate is None:
        if (limits.max_order_notional, limits.max_position_notional, limits.max_daily_loss) == (None, None, None):
            return None
        what = f"the limits are in {limits.currency} and {instrument.symbol} is quoted in {instrument.quote}"
        return Breach(
            "currency",
            f"{what}; no price tells what one is worth: give risk.rates.{instrument.quote} in {limits.currency}",
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
    """Whether the order rate counts it."""
    return intent.action != "cancel" and not intent.reduce_only


class OrderRate:
    """At most ``max_per_second`` orders in any window of one second, on the run's clock (ns)."""

    __slots__ = ("_sent", "max_per_second")

    def __init__(self, max_per_second: int) -> None:
        if max_per_second < 1:
            raise ConfigError(f"order rate: max_per_second is {max_per_second}; give a whole number of at least 1")
        self.max_per_second: int = max_per_second
        # The last so many suffice: the next may go when the oldest of them is a second old.
        self._sent: deque[int] = deque(maxlen=max_per_second)

    @classmethod
    def fold(cls, max_per_second: int, events: Iterable[DomainEvent]) -> Self:
        """The state after ``events``, in order: of ``risk.approved`` orders and amends count, by ``ts_ingress``,
        unless they only reduce a position."""
        rate = cls(max_per_second)
        for event in events:
            if isinstance(event, RiskApprovedEvent) and _counts(event.intent):
                rate._sent.append(event.ts_ingress)
        return rate

    @property
    def sent(self) -> tuple[int, ...]:
        """When the newest orders were counted (ns), oldest first; as many as one second may have."""
        return tuple(self._sent)

    def take(self, now: int) -> Breach | None:
        """Count an order at ``now`` (ns, never decreasing) if it may go; a refused one is not counted. Ask last, when
        all other checks have passed."""
        sent = self._sent
        if len(sent) == self.max_per_second and now - sent[0] < _SECOND:
            return Breach(
                "max_orders_per_second", f"{len(sent)} orders in the last second; at most {self.max_per_second}"
            )
        sent.append(now)
        return None


class DailyLoss:
    """How far the equity fell since the start of the day.

    ``start_equity`` (quote) is that of the newest ``risk.day_started``, ``None`` before the first. Whoever watches the
    clock publishes that event, at midnight (UTC) and where trading is resumed in spite of the loss.
    """

    __slots__ = ("limit", "start_equity")

    def __init__(self, limit: Money) -> None:
        self.limit: Money = limit
        self.start_equity: Money | None = None

    @classmethod
    def fold(cls, limit: Money, events: Iterable[DomainEvent]) -> Self:
        """The state after ``events``: those of one account, in order. Only ``risk.day_started`` counts."""
        daily_loss = cls(limit)
        for event in events:
            if isinstance(event, RiskDayStarted):
                daily_loss.apply(event)
        return daily_loss

    def apply(self, started: RiskDayStarted) -> None:
        """A day starts, with the equity that the event tells."""
        self.start_equity = started.equity

    def judge(self, equity: Money) -> Breach | None:
        """A breach where the loss has reached the limit at ``equity`` (quote); ``None`` otherwise, and before the first
        day has started."""
        if self.start_equity is None:
            return None
        loss = self.start_equity - equity
        if loss < self.limit:
            return None
        return Breach("max_daily_loss", f"equity fell by {loss} since the start of the day; at most {self.limit}")
