"""How a follower copies a leader's trade: how much of it, at which price, and which at all."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_UP, Decimal
from enum import StrEnum

from msgspec.structs import force_setattr

from tickdeck.domain.aggregates import ValueObject
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading.exact import EXACT
from tickdeck.domain.values import ZERO, Money, OrderType, Price, Quantity, Side
from tickdeck.errors import ConfigError, DomainError

__all__ = [
    "CopyRule",
    "CopySizing",
    "LeaderTrade",
    "check_symbol",
    "tradable_quantity",
    "wanted_quantity",
    "worst_price",
]


_LEAST, _MOST = Decimal("1e-12"), Decimal("1e12")
"""No market has smaller or larger amounts."""


class CopySizing(StrEnum):
    """How large a copy is: ``fixed`` (``amount`` is a notional in quote), ``multiple`` (of the leader's quantity),
    ``share`` (of the follower's equity in a run, and elsewhere of what it has free of the currency that it pays with)
    or ``risk`` (the share of that equity, or of that currency, that is lost if the price reaches the leader's stop)."""

    FIXED = "fixed"
    MULTIPLE = "multiple"
    SHARE = "share"
    RISK = "risk"


class CopyRule(ValueObject, frozen=True, kw_only=True):
    """How a follower copies. ``max_slippage`` is the fraction by which the price may be worse than the leader's.
    ``min_notional`` is in quote; smaller copies are not made. ``symbols`` are those that may be copied; empty means
    all. ``stop_distance``: the distance of the stop from the price, as a fraction of it, where the leader's trade names
    no stop; only for ``risk``. A sale is never larger than what the follower has free.

    Raises ``ConfigError`` for an unknown sizing, a number that is not a ``Decimal``, an amount that is not above 0 or
    beyond 1e12, a share or risk above 1, a slippage or distance that is not from 0 to below 1, or symbols that are no
    tuple of names.
    """

    sizing: CopySizing = CopySizing.MULTIPLE
    amount: Decimal = Decimal(1)
    max_slippage: Decimal = Decimal("0.005")
    min_notional: Money = ZERO
    symbols: tuple[str, ...] = ()
    stop_distance: Decimal = ZERO

    def __post_init__(self) -> None:
        try:
            force_setattr(self, "sizing", CopySizing(self.sizing))
        except ValueError:
            raise ConfigError(f"CopyRule: sizing is {self.sizing!r}; give one of {', '.join(CopySizing)}") from None
        mistakes = []
        for name in ("amount", "max_slippage", "min_notional", "stop_distance"):
            value: object = getattr(self, name)
            if not isinstance(value, Decimal) or not value.is_finite():
                mistakes.append(f"CopyRule: {name} is {value!r}; give a Decimal, such as Decimal('0.5')")
            elif name == "amount" and value <= 0:
                mistakes.append(f"CopyRule: the amount is {value}; give one above 0")
            elif name == "amount" and value > 1 and self.sizing in (CopySizing.SHARE, CopySizing.RISK):
                mistakes.append(f"CopyRule: {self.sizing} is {value:f}; give at most 1, which is 100%")
            elif name in ("amount", "min_notional") and value > 0 and not _LEAST <= value <= _MOST:
                what = self.sizing if name == "amount" else name
                mistakes.append(f"CopyRule: {what} is {value}; give a number from {_LEAST} to {_MOST}")
            elif name in ("max_slippage", "stop_distance") and not 0 <= value < 1:
                mistakes.append(f"CopyRule: {name} is {value}; give a fraction, such as 0.005")
            elif name == "min_notional" and value < 0:
                mistakes.append(f"CopyRule: min_notional is {value}; give an amount in quote, or 0")
        symbols: object = self.symbols  # a text would be compared letter by letter
        if not isinstance(symbols, tuple) or not all(isinstance(symbol, str) and symbol for symbol in symbols):
            mistakes.append(f"CopyRule: symbols is {symbols!r}; give a tuple of names, such as ('BTCUSDT',)")
        if mistakes:
            raise ConfigError.of(mistakes)


class LeaderTrade(ValueObject, frozen=True, kw_only=True):
    """What is copied: ``quantity`` (base) at ``price`` (quote), and the leader's ``stop`` (quote) if it has one.
    ``trade_id`` must never come twice for two trades.

    Raises ``ConfigError`` if a name is empty, the side is no ``Side``, or a number is no finite ``Decimal`` above 0.
    """

    trade_id: str
    symbol: str
    side: Side
    quantity: Quantity
    price: Price
    stop: Price | None = None

    def __post_init__(self) -> None:
        mistakes = []
        for name in ("trade_id", "symbol"):
            text: object = getattr(self, name)
            if not isinstance(text, str) or not text:
                mistakes.append(f"LeaderTrade: {name} is {text!r}; give a str that is not empty")
        side: object = self.side
        if not isinstance(side, Side):
            mistakes.append(f"LeaderTrade: side is {side!r}; give Side.BUY or Side.SELL")
        for name in ("quantity", "price", *(["stop"] if self.stop is not None else [])):
            value: object = getattr(self, name)
            if not isinstance(value, Decimal) or not value.is_finite() or value <= 0:
                mistakes.append(f"LeaderTrade: {name} is {value!r}; give a finite Decimal above 0")
        if mistakes:
            raise ConfigError.of(mistakes)


def check_symbol(leader: LeaderTrade, rule: CopyRule) -> None:
    """Raise ``DomainError`` if the rule does not copy the symbol."""
    if rule.symbols and leader.symbol not in rule.symbols:
        raise DomainError(f"{leader.symbol} is not copied; allowed: {', '.join(rule.symbols)}")


def worst_price(leader: LeaderTrade, rule: CopyRule, instrument: Instrument) -> Price:
    """The leader's price with the slippage that is allowed, on the grid of the instrument, never beyond it. Raises
    ``DomainError`` if nothing above 0 is left."""
    buys = leader.side is Side.BUY
    factor = 1 + rule.max_slippage if buys else 1 - rule.max_slippage
    steps = EXACT.divide(EXACT.multiply(leader.price, factor), instrument.tick_size)
    rounded = steps.quantize(Decimal(1), ROUND_DOWN if buys else ROUND_UP, context=EXACT)
    limit = EXACT.multiply(rounded, instrument.tick_size)
    if not limit > 0:
        raise DomainError(f"the price {leader.price} leaves no price above 0 with a slippage of {rule.max_slippage}")
    return limit


def wanted_quantity(
    leader: LeaderTrade, rule: CopyRule, limit: Price, *, free: Money, equity: Money | None = None
) -> Quantity:
    """The size of the copy by the rule alone (base). ``free`` is in the currency that the follower pays with, and
    ``equity`` in quote; ``None`` if it is not known. Raises ``DomainError`` if the stop that it depends on is not
    known."""
    if rule.sizing is CopySizing.FIXED:
        return EXACT.divide(rule.amount, leader.price)
    if rule.sizing is CopySizing.MULTIPLE:
        return EXACT.multiply(leader.quantity, rule.amount)
    if equity is None and leader.side is Side.SELL and rule.sizing is CopySizing.SHARE:
        return EXACT.multiply(max(free, ZERO), rule.amount)  # of the coins
    worth = free if equity is None else equity
    if equity is None and leader.side is Side.SELL:
        worth = EXACT.multiply(free, leader.price)
    share = EXACT.multiply(max(worth, ZERO), rule.amount)
    if rule.sizing is CopySizing.SHARE:
        return EXACT.divide(share, limit)
    distance = EXACT.multiply(leader.price, rule.stop_distance)
    if leader.stop is not None:
        distance = EXACT.multiply(EXACT.subtract(leader.price, leader.stop), Decimal(leader.side.sign))
        if not distance > 0:
            where = "below" if leader.side is Side.BUY else "above"
            raise DomainError(f"the leader's stop is {leader.stop}; it must be {where} its price, {leader.price}")
    if not distance > 0:
        raise DomainError("the leader has no stop that tells the risk; give stop_distance")
    return EXACT.divide(share, distance)


def tradable_quantity(
    wanted: Quantity, leader: LeaderTrade, rule: CopyRule, instrument: Instrument, limit: Price, free: Money | None
) -> Quantity:
    """``wanted`` as the follower can trade it (base): a sale is never larger than what is ``free``, unless that is
    ``None``, because the account may owe coins. Raises ``DomainError`` if that is too small."""
    if leader.side is Side.SELL and free is not None:  # fees and rounding may have left less than the leader's part
        wanted = min(wanted, max(free, ZERO))
        if not wanted:
            raise DomainError(f"no {instrument.base} is free to be sold")
    quantity = instrument.quantise_quantity(wanted)
    violation = instrument.violation(OrderType.LIMIT, quantity, limit)
    if violation is not None:
        raise DomainError(violation)
    notional = EXACT.multiply(quantity, leader.price)
    if notional < rule.min_notional:
        raise DomainError(
            f"the copy is worth {notional:f} {instrument.quote}, less than the minimum {rule.min_notional}"
        )
    return quantity
