"""The settings of the paper venue."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tickdeck.domain.accounts import MarginTerms
from tickdeck.domain.values import Money
from tickdeck.errors import ConfigError, format_value

__all__ = ["PaperConfig", "assumptions_of"]

_MS = 1_000_000


class PaperConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The paper venue's account, fees and latencies.

    - ``account_id``: the name of the account. ``user_id``: its owner; may be empty.
    - ``balances``: the balances at the start, by currency. A dollar or fiat quote currency that is not listed starts
      with ``default_balance``, any other currency with 0. If there is no such quote currency and none is listed, the
      account starts with a fixed amount of the quote currency (1 BTC, 25 ETH).
    - ``maker_fee``, ``taker_fee``: a fraction of the notional, charged in quote currency.
    - ``feed_latency_ns``: from an event at the venue to us. ``order_latency_ns``: from us to the venue.
      ``ack_latency_ns``: from the venue back to us; at least the feed's, because reports are derived from the feed.
      ``jitter_ns``: the most that is added to order and ack latency, drawn evenly from the seed.
    - ``short_selling``: you can sell what you do not hold. Without ``leverage``, risk refuses shorts that
      the equity does not cover in full, and buys back what it no longer covers.
    - ``leverage``: makes it a margin account, in which a position needs this fraction of its cost as its margin, and
      in which you can sell what you do not hold. ``maintenance``: the part of a position's value that has to be left of
      its margin; at that the venue liquidates it. ``margin_call``: the multiple of that at which it warns before.
    - ``participation``: on candles, the fraction of a candle's volume that all our orders together may take.

    Raises ``ConfigError`` for a value out of its range.
    """

    account_id: str = "main"
    user_id: str = ""
    balances: dict[str, Money] = {}
    default_balance: Money = Decimal(100_000)
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    feed_latency_ns: int = 10 * _MS
    order_latency_ns: int = 20 * _MS
    ack_latency_ns: int = 20 * _MS
    jitter_ns: int = 5 * _MS
    short_selling: bool = False
    leverage: Decimal | None = None
    maintenance: Decimal = Decimal("0.005")
    margin_call: Decimal = Decimal("1.5")
    participation: Decimal = Decimal("0.1")

    def __post_init__(self) -> None:
        if not self.account_id:
            raise ConfigError("paper venue: account_id is empty; give it a name, such as 'main'")
        for currency, amount in self.balances.items():
            _check_decimal(f"balances[{currency!r}]", amount)
        _check_decimal("default_balance", self.default_balance)
        for name in ("maker_fee", "taker_fee", "participation"):
            _check_decimal(name, getattr(self, name))
        for name in ("maker_fee", "taker_fee"):
            if getattr(self, name) >= 1:
                raise ConfigError(f"paper venue: {name} is {getattr(self, name)}; give a share below 1, such as 0.001")
        if not 0 < self.participation <= 1:
            raise ConfigError(f"paper venue: participation is {self.participation}; give a share above 0, at most 1")
        self._check_margin()
        for name in ("feed_latency_ns", "order_latency_ns", "ack_latency_ns", "jitter_ns"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ConfigError(
                    f"paper venue: {name} is {format_value(value)}; give nanoseconds as an integer, 0 or more"
                )
        if self.ack_latency_ns < self.feed_latency_ns:
            raise ConfigError(
                f"paper venue: ack_latency_ns is {self.ack_latency_ns}, less than feed_latency_ns "
                f"({self.feed_latency_ns}); a report cannot arrive before the feed: raise the first or lower the second"
            )

    @property
    def margin(self) -> MarginTerms | None:
        """The terms of a margin account; ``None`` without ``leverage``."""
        if self.leverage is None:
            return None
        return MarginTerms(leverage=self.leverage, maintenance=self.maintenance, margin_call=self.margin_call)

    def _check_margin(self) -> None:
        for name in ("leverage", "maintenance", "margin_call"):
            if getattr(self, name) is not None:
                _check_decimal(name, getattr(self, name))
        if self.leverage is not None and self.leverage < 1:
            raise ConfigError(f"paper venue: leverage is {self.leverage}; give a number from 1 on, such as 5")
        if self.margin_call <= 1:
            raise ConfigError(
                f"paper venue: margin_call is {self.margin_call}; give a multiple of the maintenance above 1, such as "
                "1.5 or '150%'"
            )
        if self.leverage is not None and self.maintenance * self.margin_call * self.leverage >= 1:
            raise ConfigError(
                f"paper venue: with a leverage of {self.leverage}, a new position would have a margin call at once; "
                f"lower the leverage, maintenance ({self.maintenance}) or margin_call ({self.margin_call})"
            )


def _check_decimal(name: str, value: object) -> None:
    if type(value) is not Decimal or not value.is_finite() or value < 0:
        raise ConfigError(f"paper venue: {name} is {format_value(value)}; give a decimal that is not negative")


def assumptions_of(c: PaperConfig, *others: PaperConfig) -> tuple[str, ...]:
    """The assumptions behind the fills of such a venue, in plain sentences. ``others``: further accounts of it."""
    accounts = {one.account_id: _account(one) for one in (c, *others)}
    alike = len(set(accounts.values())) == 1
    return (
        f"Latencies: feed {_ms(c.feed_latency_ns)}, orders {_ms(c.order_latency_ns)}, "
        f"reports {_ms(c.ack_latency_ns)}, each order and report up to {_ms(c.jitter_ns)} more.",
        f"Fees: maker {_percent(c.maker_fee)}, taker {_percent(c.taker_fee)} of the notional, in quote currency.",
        "Takers get what the recorded book (or best bid and ask) displays, level by level, and what we took is not "
        "offered again until the record changes that level; the rest of a market order expires.",
        "With trades alone, takers wait for the next trades on their side, at their prices and within their "
        "quantities; with candles alone, they wait for the next open, within "
        f"{_percent(c.participation)} of the last candle's volume; the fill comes when the candle opens.",
        "Within a candle, the price is assumed to go from the open first to the extreme that is worse for the order: "
        "a resting order fills at its limit if the range goes through it, which is known when the candle closes. A "
        "stop fills at its price if the range reaches it, or at the open if that is beyond it; if a candle reaches "
        "stop and target, the stop counts.",
        "A resting order queues behind everything that is displayed at its price (behind an unknown quantity where the "
        "record does not show it); trades advance it, cancels of others never do; a trade through its price fills "
        "it at its limit.",
        "An amend to another price or a larger quantity goes to the back of the queue, and may take; less at the "
        "same price keeps its place.",
        "All our orders share the quantity of one trade; they never trade with each other.",
        "Our orders move no price, and nobody reacts to them.",
        *([_account(c)] if alike else [f"Account {name}: {text}" for name, text in accounts.items()]),
        "It never fails: no outage, no lost report, no rate limit, no price band of a real venue.",
    )


def _account(c: PaperConfig) -> str:
    if c.leverage is not None:
        return (
            f"A margin account with a leverage of {c.leverage:f}: a position is backed by its own margin alone, and is "
            f"closed at its liquidation price when {_percent(c.maintenance)} of its value is left of it; no interest "
            "and no funding are charged."
        )
    if c.short_selling:
        return (
            "A sell needs no coins, a buy needs its cost and fee in quote currency; equity covers shorts in full, "
            "and what it no longer covers is bought back."
        )
    return "A buy needs its cost and fee in quote currency, a sell needs the coins; open orders lock both."


def _ms(ns: int) -> str:
    return f"{ns / 1_000_000:g} ms"


def _percent(share: Decimal) -> str:
    return f"{(share * 100).normalize():f} %"
