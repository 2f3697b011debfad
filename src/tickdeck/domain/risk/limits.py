"""The limits of an account, as a value."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tickdeck.errors import ConfigError, format_value

__all__ = ["DEFAULT_LIMITS", "RiskLimits"]

_DOLLARS = ("USD", "USDT", "USDC", "FDUSD", "BUSD", "TUSD", "DAI")
"""Currencies that the limits treat as equal, unless ``rates`` says otherwise."""
_AMOUNTS = ("max_order_notional", "max_position_notional", "max_total_notional", "max_daily_loss")
_COUNTS = ("max_orders_per_second", "max_open_orders", "max_open_orders_per_symbol")


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of an account, or of all accounts of a run together. ``None`` means no limit.

    - ``currency``: the currency of the amounts below.
    - ``rates``: the value of one unit of another quote currency in ``currency``, such as ``{"ETH": 2500}``. Without an
      entry, the last prices of the run's symbols are used. Dollars and the common dollar coins count as equal. If there
      is no rate at all, an order in that quote currency is refused, unless no amount is limited.
    - ``max_order_notional``: price x quantity of one order.
    - ``max_order_quantity``: the quantity of one order (base), by symbol, such as ``{"BTCUSDT": 2}``.
    - ``max_order_multiple``: the quantity of one order as a multiple of what the strategy usually orders in that
      symbol: the median of its last 20 orders. It applies from the sixth order on.
    - ``max_position_notional``: the position in one symbol, long or short, assuming that all open orders on the same
      side are filled. Coins that the account has at the start are part of the position.
    - ``max_total_notional``: the same for all symbols together. Longs and shorts are added, not netted.
    - ``max_open_orders``, ``max_open_orders_per_symbol``: how many orders may be open at the same time. An order counts
      from its approval until it has ended, also while it is being cancelled.
    - ``max_orders_per_second``: in any window of one second, not per second of the clock.
    - ``max_daily_loss``: trading halts if the equity falls by this amount from its value at the start of the day (UTC).
    - ``max_drawdown``: trading halts if the equity falls by this fraction from its peak (0.2 is 20 %). The peak is the
      highest equity since the run began, or since trading was resumed after a halt.
    - ``price_band``: the largest distance of a limit price from the last price, as a fraction (0.05 is 5 %), at most 1.

    Notionals and the daily loss are in ``currency``. An order that only reduces a position passes all limits.

    Raises ``ConfigError`` if a limit or a rate is not above 0 or has the wrong type, or if ``max_drawdown`` is not
    below 1 or ``max_order_multiple`` not above 1.
    """

    currency: str = "USDT"
    rates: dict[str, Decimal] = {}
    max_order_notional: Decimal | None = None
    max_order_quantity: dict[str, Decimal] = {}
    max_order_multiple: Decimal | None = None
    max_position_notional: Decimal | None = None
    max_total_notional: Decimal | None = None
    max_open_orders: int | None = None
    max_open_orders_per_symbol: int | None = None
    max_orders_per_second: int | None = None
    max_daily_loss: Decimal | None = None
    max_drawdown: Decimal | None = None
    price_band: Decimal | None = None

    def __post_init__(self) -> None:
        for name in (*_AMOUNTS, "max_drawdown", "max_order_multiple", "price_band"):
            value = getattr(self, name)
            if value is not None and not _is_above_0(value):
                raise ConfigError(
                    f"risk limits: {name} is {format_value(value)}; give a decimal above 0, or none for no limit"
                )
        if self.max_drawdown is not None and self.max_drawdown >= 1:
            raise ConfigError(
                f"risk limits: max_drawdown is {self.max_drawdown}; give a share of the equity below 1, such as 0.2"
            )
        if self.price_band is not None and self.price_band > 1:  # no limit price of a buy order is further away
            raise ConfigError(
                f"risk limits: price_band is {self.price_band}; give a share of the price of at most 1, such as 0.05"
            )
        if self.max_order_multiple is not None and self.max_order_multiple <= 1:
            raise ConfigError(
                f"risk limits: max_order_multiple is {self.max_order_multiple}; give a number above 1, such as 10"
            )
        if not self.currency:
            raise ConfigError("risk limits: currency is empty; give the currency of the amounts, such as 'USDT'")
        for quote, worth in self.rates.items():
            if not _is_above_0(worth):
                raise ConfigError(
                    f"risk limits: rates[{quote!r}] is {format_value(worth)}; "
                    f"give what one {quote} is worth in {self.currency}, a decimal above 0"
                )
        for symbol, most in self.max_order_quantity.items():
            if not _is_above_0(most):
                raise ConfigError(
                    f"risk limits: max_order_quantity[{symbol!r}] is {format_value(most)}; "
                    "give a quantity in the base currency, a decimal above 0"
                )
        for name in _COUNTS:
            count = getattr(self, name)
            if count is not None and (type(count) is not int or count < 1):
                raise ConfigError(
                    f"risk limits: {name} is {format_value(count)}; "
                    "give a whole number of at least 1, or none for no limit"
                )

    @property
    def of_one_order(self) -> str:
        """The first limit that is about a single order; empty if there is none. A whole run has no such limits."""
        given = {name: getattr(self, name) for name in ("max_order_notional", "max_order_quantity")}
        given |= {name: getattr(self, name) for name in ("max_order_multiple", "price_band")}
        return next((name for name, value in given.items() if value), "")

    @property
    def limits_an_amount(self) -> bool:
        """Whether any limit is an amount in ``currency``."""
        return any(getattr(self, name) is not None for name in _AMOUNTS)

    def rate(self, quote: str) -> Decimal | None:
        """The value of one unit of ``quote`` in ``currency``; ``None`` if it is not configured."""
        if quote == self.currency:
            return _ONE
        worth = self.rates.get(quote)
        if worth is None and quote in _DOLLARS and self.currency in _DOLLARS:
            return _ONE
        return worth


def _is_above_0(value: object) -> bool:
    return type(value) is Decimal and value.is_finite() and value > 0


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
