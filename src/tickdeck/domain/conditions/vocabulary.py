"""The names that a condition may use: what each is, which arguments it takes, and what changes it."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from tickdeck.domain.conditions.syntax import Reference

__all__ = ["FUNCTIONS", "Function", "Kind", "Source", "signal_name"]


class Kind(StrEnum):
    """What an expression is worth: numbers and times of day are compared, truths are combined."""

    NUMBER = "number"
    TIME = "time of day"
    TRUTH = "truth"


class Source(StrEnum):
    """What changes a value, so that a condition with it is evaluated again."""

    PRICE = "price"
    QUOTES = "quotes"
    TRADES = "trades"
    BOOK = "book"
    CANDLES = "candles"
    SIGNAL = "signal"
    POSITION = "position"
    PROFIT = "profit"
    ACCOUNT = "account"
    TIME = "time"


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A name with its arguments, in the order in which they are written.

    ``of``: what its first argument names; empty if there is none. ``count``: what a whole number counts; empty if there
    is none. ``timeframe``: ``optional``, ``required``, or empty. ``symbol``: whether it depends on a symbol.
    """

    source: Source
    about: str
    kind: Kind = Kind.NUMBER
    symbol: bool = True
    of: str = ""
    count: str = ""
    timeframe: str = ""
    percent: bool = False
    """Whether the value counts in percent: -2 is a loss of 2 %."""
    share: bool = False
    """Whether it may be compared with a share, such as 20%: the others are amounts."""
    least: Decimal | None = None
    most: Decimal | None = None
    """Between which values it always is."""

    @property
    def usage(self) -> str:
        """Its arguments in words, such as ``a symbol, a number of candles and a timeframe``."""
        wanted = [
            self.of and f"the name of a {self.of}",
            "a symbol (optional)" if self.symbol else "",
            self.count and f"a whole number of {self.count}",
            self.timeframe and f"the interval of candles, such as 1h{' (optional)' * (self.timeframe == 'optional')}",
        ]
        return ", ".join(filter(None, wanted)) or "no arguments"


_ZERO, _ONE, _HUNDRED = Decimal(0), Decimal(1), Decimal(100)


def _average(about: str, most: Decimal | None = None) -> Function:
    return Function(source=Source.CANDLES, count="candles", timeframe="optional", about=about, least=_ZERO, most=most)


def _candle(about: str) -> Function:
    return Function(source=Source.CANDLES, timeframe="required", about=about, least=_ZERO)


FUNCTIONS: dict[str, Function] = {
    "price": Function(
        source=Source.PRICE, about="the last price; the middle of bid and ask if there are no trades", least=_ZERO
    ),
    "bid": Function(source=Source.QUOTES, about="the best bid", least=_ZERO),
    "ask": Function(source=Source.QUOTES, about="the best ask", least=_ZERO),
    "open": _candle("the open of the last closed candle"),
    "high": _candle("its high"),
    "low": _candle("its low"),
    "close": _candle("its close"),
    "volume": _candle("its volume, in base"),
    "ema": _average("the exponential moving average of the closes"),
    "talib_ema": _average("the same, begun as TA-Lib does"),
    "sma": _average("the simple moving average of the closes"),
    "rsi": _average("the relative strength index of the closes, from 0 to 100", _HUNDRED),
    "atr": _average("the average true range of the candles, in quote"),
    "vwap": Function(source=Source.TRADES, count="trades", about="the volume-weighted average price", least=_ZERO),
    "imbalance": Function(
        source=Source.BOOK,
        count="levels",
        share=True,
        least=-_ONE,
        most=_ONE,
        about="the imbalance of the order book, from -1 to 1",
    ),
    "signal": Function(source=Source.SIGNAL, of="signal", share=True, about="a signal of your own, of [signals.NAME]"),
    "position": Function(source=Source.POSITION, about="what is held, in base; negative: short; dust counts as 0"),
    "equity": Function(source=Source.ACCOUNT, symbol=False, about="the value of the account in its quote currency"),
    "profit_pct": Function(
        source=Source.PROFIT, percent=True, about="the profit of the open position in percent of its entry price"
    ),
    "pnl": Function(
        source=Source.ACCOUNT, symbol=False, of="strategy", about="what a strategy has earned, after fees, in quote"
    ),
    "pnl_pct": Function(
        source=Source.ACCOUNT,
        symbol=False,
        of="strategy",
        percent=True,
        about="the same in percent of what was paid into the account",
    ),
    "time": Function(source=Source.TIME, symbol=False, kind=Kind.TIME, least=_ZERO, about="the time of day, UTC"),
}


def signal_name(reference: Reference) -> str:
    """The name of the signal that a value is, such as ``rsi-14@1h``; empty if it is not a signal."""
    function = FUNCTIONS[reference.function]
    if function.source is Source.SIGNAL:
        return reference.of
    if not function.count:
        return ""
    name = f"{reference.function.replace('_', '-')}-{reference.count}"
    return f"{name}@{reference.timeframe}" if reference.timeframe else name
