"""Checks of one order against the limits, as pure functions."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal

import msgspec

from tickdeck.domain.market import Instrument
from tickdeck.domain.risk.limits import RiskLimits
from tickdeck.domain.values import BUY, SELL, ZERO, Money, OrderType, Price, Quantity, Side, plain

__all__ = ["Breach", "check_order", "check_run", "only_reduces"]

_MARKET, _LIMIT = OrderType.MARKET, OrderType.LIMIT


class Breach(msgspec.Struct, frozen=True):
    """A limit was breached. ``limit`` is its name, ``detail`` the explanation, ``scope`` whose limit it is: that of the
    ``account`` or of the whole ``run``."""

    limit: str
    detail: str
    scope: str = "account"


def only_reduces(side: Side, quantity: Quantity, position: Quantity, working: Quantity = ZERO) -> bool:
    """Whether an order of ``quantity`` (base) can only make ``position`` smaller, even if everything ``working`` on the
    same side is filled before it."""
    is_opposed = position < 0 if side is BUY else position > 0
    return is_opposed and quantity + working <= abs(position)


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
    open_orders: int = 0,
    open_in_symbol: int = 0,
    elsewhere: Money = ZERO,
) -> Breach | None:
    """The first limit that an order would breach; ``None`` if it may be sent.

    - ``limit``: its limit price in quote; ``None`` for a market order. ``reference``: the last price in quote.
    - ``position``: the signed quantity held (base). ``working``: what open orders on the same ``side`` may still fill
      (base).
    - ``rate``: the value of one unit of the quote currency in the currency of the limits, by the prices seen.
      ``limits.rates`` takes precedence.
    - ``open_orders``, ``open_in_symbol``: how many other orders are open. ``elsewhere``: the largest value that the
      positions in all other symbols may reach with their open orders, in the currency of the limits.

    The checks, in this order: ``reference_price`` (without a price the order has no value), ``instrument`` (the venue's
    filters), ``price_band``, ``max_open_orders``, ``max_open_orders_per_symbol``, ``max_order_quantity``, ``currency``
    (there is no rate, and an amount is limited), ``max_order_notional``, ``max_position_notional``,
    ``max_total_notional``. An amount equal to its limit passes. A sale is valued at the higher of its limit and the
    last price, because it fills at its limit or better.

    An order that only reduces the position needs to pass only the first two.

    The limits on positions assume the worst case: this order and all ``working`` ones are filled. They never refuse an
    order that reduces the position, even if the price has carried the position over the limit, unless the worst case is
    a larger position on the other side. So open orders may together reverse a position, but not enlarge it.
    """
    if reference is None:
        return Breach("reference_price", f"there is no price of {instrument.symbol} yet, so the order cannot be valued")
    kind = _MARKET if limit is None else _LIMIT
    price = reference if limit is None else limit
    violation = instrument.violation(kind, quantity, price)
    if violation is not None:
        return Breach("instrument", violation)
    if only_reduces(side, quantity, position, working):
        return None
    band = limits.price_band
    if band is not None and abs(price - reference) > band * reference:
        apart = f"limit {plain(price)} is {_percent(abs(price - reference) / reference)} from the last price"
        return Breach("price_band", f"{apart}, {plain(reference)}; at most {_percent(band)}")
    breach = _check_counts(limits, instrument.symbol, quantity, open_orders, open_in_symbol)
    if breach is not None or not limits.limits_an_amount:
        return breach
    worth = max(price, reference) if side is SELL else price
    rate = limits.rate(instrument.quote) or rate
    if rate is None:
        what = f"the limits are in {limits.currency} and {instrument.symbol} is quoted in {instrument.quote}"
        return Breach(
            "currency",
            f"{what}, and there is no rate between them; set [risk] rates = {{ {instrument.quote} = ... }} to what one"
            f" {instrument.quote} is worth, or add a tape with its price",
        )
    worth *= rate
    worst = position + side.sign * (quantity + working)
    reduces = quantity <= abs(position) and abs(worst) <= abs(position)
    return _check_notionals(limits, quantity, worth, position, worst, None if reduces else elsewhere)


def check_run(
    limits: RiskLimits,
    instrument: Instrument,
    *,
    side: Side,
    quantity: Quantity,
    price: Price,
    position: Quantity,
    working: Quantity,
    rate: Decimal | None,
    open_orders: int,
    open_in_symbol: int,
    in_symbol: Money,
    elsewhere: Money,
) -> Breach | None:
    """The first limit of the whole run that an order of one account would breach. The order has passed the limits of
    its account, and does not only reduce a position.

    ``price`` is what the order is valued at (quote), ``position`` and ``working`` are those of the account, as for
    ``check_order``. ``open_orders`` and ``open_in_symbol`` count those of all accounts. ``in_symbol`` is the largest
    value that the positions of the other accounts in this symbol may reach with their open orders, and ``elsewhere``
    the same for all other symbols of all accounts, both in the currency of the limits. What one account holds long and
    another short is added, not netted.
    """
    breach = _check_counts(limits, instrument.symbol, quantity, open_orders, open_in_symbol)
    if breach is not None:
        return Breach(breach.limit, f"{breach.detail}, in all accounts of the run together", "run")
    if not limits.limits_an_amount:
        return None
    if rate is None:
        what = f"the limits of the run are in {limits.currency} and {instrument.symbol} is quoted in {instrument.quote}"
        how = f"set [limits] rates = {{ {instrument.quote} = ... }}"
        return Breach("currency", f"{what}, and there is no rate between them; {how}", "run")
    worst = position + side.sign * (quantity + working)
    if quantity <= abs(position) and abs(worst) <= abs(position):
        return None
    value = price * rate * abs(worst)
    for name, others, whose in (
        ("max_position_notional", in_symbol, f"those of the other accounts in {instrument.symbol}"),
        ("max_total_notional", in_symbol + elsewhere, "all others of the run"),
    ):
        most = getattr(limits, name)
        if most is not None and value + others > most:
            own = f"{_could_become(position, worst)}, {plain(value)} {limits.currency}"
            detail = f"{own}, and {whose} are worth up to {plain(others)}; at most {plain(most)} together"
            return Breach(name, detail, "run")
    return None


def _check_counts(
    limits: RiskLimits, symbol: str, quantity: Quantity, open_orders: int, open_in_symbol: int
) -> Breach | None:
    most = limits.max_open_orders
    if most is not None and open_orders >= most:
        return Breach("max_open_orders", f"{open_orders} orders are open; at most {most}")
    most = limits.max_open_orders_per_symbol
    if most is not None and open_in_symbol >= most:
        return Breach("max_open_orders_per_symbol", f"{open_in_symbol} orders in {symbol} are open; at most {most}")
    largest = limits.max_order_quantity.get(symbol)
    if largest is not None and quantity > largest:
        return Breach("max_order_quantity", f"{plain(quantity)} {symbol} in one order; at most {plain(largest)}")
    return None


def _check_notionals(
    limits: RiskLimits,
    quantity: Quantity,
    worth: Price,
    position: Quantity,
    worst: Quantity,
    elsewhere: Money | None,
) -> Breach | None:
    """``worth`` is the price in the currency of the limits. ``elsewhere`` is ``None`` if the order reduces the
    position, so that only the limit on the order itself applies."""
    currency = limits.currency
    most = limits.max_order_notional
    if most is not None and worth * quantity > most:
        return Breach(
            "max_order_notional",
            f"{plain(quantity)} at {plain(worth)} is {plain(worth * quantity)} {currency}; at most {plain(most)}",
        )
    if elsewhere is None:
        return None
    value = worth * abs(worst)
    most = limits.max_position_notional
    if most is not None and value > most:
        return Breach(
            "max_position_notional",
            f"{_could_become(position, worst)}, {plain(value)} at {plain(worth)}; at most {plain(most)}",
        )
    most = limits.max_total_notional
    if most is not None and value + elsewhere > most:
        return Breach(
            "max_total_notional",
            f"{_could_become(position, worst)}, {plain(value)} {currency}, and all others are"
            f" worth up to {plain(elsewhere)}; at most {plain(most)} together",
        )
    return None


def _percent(share: Decimal) -> str:
    """A share in percent, rounded up to four digits, so that it never looks as if it were within its limit."""
    percent = share.scaleb(2)
    step = Decimal(1).scaleb(percent.adjusted() - 3)
    return f"{plain(percent.quantize(step, ROUND_UP).normalize())} %"


def _could_become(position: Quantity, worst: Quantity) -> str:
    return f"position {plain(position)} could become {plain(worst)} with the open orders"
