"""Instruments: the grid of prices and quantities, and a venue's filters."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.market import Instrument, instrument_for
from tickdeck.domain.market.instrument import split_symbol, symbol_in_name
from tickdeck.domain.values import OrderStatus, OrderType, Side
from tickdeck.errors import ConfigError

BTC = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.00001"),
    min_quantity=Decimal("0.0001"),
    max_quantity=Decimal(100),
    min_notional=Decimal(5),
)
steps = st.sampled_from([Decimal(s) for s in ("0.00000001", "0.01", "0.05", "0.25", "1", "10")])
amounts = st.decimals("0", "1000000", places=8)


@given(price=amounts, tick=steps)
def test_a_quantised_price_is_on_the_grid_and_at_most_half_a_tick_away(price: Decimal, tick: Decimal) -> None:
    quantised = Instrument(symbol="X", base="X", quote="USD", tick_size=tick).quantise_price(price)
    assert quantised % tick == 0
    assert abs(quantised - price) * 2 <= tick


@given(quantity=amounts, lot=steps)
def test_a_quantised_quantity_is_on_the_grid_and_never_larger(quantity: Decimal, lot: Decimal) -> None:
    quantised = Instrument(symbol="X", base="X", quote="USD", lot_size=lot).quantise_quantity(quantity)
    assert quantised % lot == 0
    assert quantity - lot < quantised <= quantity


def test_a_price_halfway_between_two_ticks_goes_to_the_even_one() -> None:
    assert BTC.quantise_price(Decimal("10.005")) == Decimal("10.00")
    assert BTC.quantise_price(Decimal("10.015")) == Decimal("10.02")


@pytest.mark.parametrize(
    ("kind", "quantity", "price", "said"),
    [
        (OrderType.MARKET, "0", "60000", "not positive"),
        (OrderType.MARKET, "-1", "60000", "not positive"),
        (OrderType.MARKET, "0.000105", "60000", "lot size 0.00001"),
        (OrderType.MARKET, "0.00009", "60000", "below the minimum 0.0001"),
        (OrderType.MARKET, "100.00001", "60000", "above the maximum 100"),
        (OrderType.LIMIT, "1", "60000.005", "tick size 0.01"),
        (OrderType.LIMIT, "0.0001", "49999.99", "notional 4.999999 is below the minimum 5"),
    ],
)
def test_a_violated_filter_is_named(kind: OrderType, quantity: str, price: str, said: str) -> None:
    violation = BTC.violation(kind, Decimal(quantity), Decimal(price))
    assert violation is not None
    assert said in violation


@pytest.mark.parametrize(
    ("kind", "quantity", "price"),
    [
        (OrderType.LIMIT, "0.0001", "50000"),  # the notional is exactly the minimum
        (OrderType.LIMIT, "100", "60000.01"),
        (OrderType.MARKET, "1", "60000.005"),  # a market order's reference price need not be on the grid
    ],
)
def test_an_order_within_the_filters_breaks_none(kind: OrderType, quantity: str, price: str) -> None:
    assert BTC.violation(kind, Decimal(quantity), Decimal(price)) is None


def test_a_maximum_of_zero_is_none() -> None:
    unbounded = Instrument(symbol="X", base="X", quote="USD")
    assert unbounded.violation(OrderType.MARKET, Decimal(10**9), Decimal(1)) is None


@pytest.mark.parametrize("field", ["tick_size", "lot_size", "min_quantity", "max_quantity", "min_notional"])
@pytest.mark.parametrize("wrong", [0.01, Decimal(-1), Decimal("NaN")], ids=repr)
def test_a_negative_step_or_one_that_is_not_a_decimal_is_refused(field: str, wrong: object) -> None:
    with pytest.raises(ConfigError, match=f"instrument X: {field} is "):
        Instrument(symbol="X", base="X", quote="USD", **{field: wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["tick_size", "lot_size"])
def test_a_step_of_zero_is_refused(field: str) -> None:
    with pytest.raises(ConfigError, match="greater than 0"):
        Instrument(symbol="X", base="X", quote="USD", **{field: Decimal(0)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("XRPETH", ("XRP", "ETH")),
        ("BTC-USD", ("BTC", "USD")),
        ("ETH/BTC", ("ETH", "BTC")),
        ("DOT-USD", ("DOT", "USD")),
        ("SHIB/USD", ("SHIB", "USD")),
        ("btc_usdt", ("BTC", "USDT")),
        ("1000PEPEUSDT", ("1000PEPE", "USDT")),
        ("BTCTRY", ("BTC", "TRY")),
        ("BTCJPY", ("BTC", "JPY")),
        ("BTCUSDT_250328", ("BTC", "USDT")),
        ("BTC-PERP", ("BTC", "USD")),
    ],
)
def test_an_unambiguous_symbol_splits_into_base_and_quote(symbol: str, parts: tuple[str, str]) -> None:
    assert split_symbol(symbol) == parts


@pytest.mark.parametrize(
    "symbol",
    [
        "DOTUSD",
        "XBTUSD",
        "tBTCUSD",
        "BTCFDUSD",
        "USDT",
        "AAPL",
        "BTC-USDT-SWAP",
        "BTC/USDT:USDT",
        "BTC_USDC-PERPETUAL",
        "",
    ],
)
def test_an_ambiguous_symbol_is_never_split(symbol: str) -> None:
    assert split_symbol(symbol) is None
    with pytest.raises(ConfigError, match=r"has no unambiguous .*; add \[instruments\."):
        instrument_for(symbol)


@pytest.mark.parametrize(
    "symbol",
    [
        *(
            "BTCUSD_PERP",
            "ETHUSD_250328",
            "BTC-USD-SWAP",
            "BTC-USD-241227",
            "PI_XBTUSD",
            "FI_ETHUSD_241227",
            "BTC/USD:BTC",
        ),
        *("BTC-PERPETUAL", "ETH-27DEC24"),
    ],
)
def test_an_inverse_contract_is_refused(symbol: str) -> None:
    with pytest.raises(ConfigError, match="is an inverse contract"):
        instrument_for(symbol)


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("BTCUSDT-trades-2024-08-08.csv", "BTCUSDT"),
        ("BTCUSD_PERP-aggTrades-2024-01-01.zip", "BTCUSD_PERP"),
        ("btcusdt_250328-1h.csv", "BTCUSDT_250328"),
        ("trades_ethusdt_20240808.csv.gz", "ETHUSDT"),
        ("BTC-USD.csv", "BTC-USD"),
        ("candles-1m-BTC-PERP-20211231-20220201.csv.gz", "BTC-PERP"),
        ("BTC_USDT-5m.csv", "BTC_USDT"),
        ("tBTCUSD-1h.csv", "tBTCUSD"),
        ("entry-registry-usdt.csv", None),
        ("data-2024-USD.csv", None),
    ],
)
def test_a_file_s_name_gives_a_symbol_as_its_venue_writes_it(name: str, symbol: str | None) -> None:
    assert symbol_in_name(name) == symbol


def test_a_known_symbol_has_its_venue_s_filters() -> None:
    known = instrument_for("BTCUSDT")
    assert (known.tick_size, known.lot_size, known.min_notional) == (Decimal("0.01"), Decimal("0.00001"), Decimal(5))


def test_an_unknown_symbol_gets_the_finest_steps_and_no_minimum() -> None:
    unknown = instrument_for("DOGEEUR")
    assert (unknown.base, unknown.quote) == ("DOGE", "EUR")
    assert (unknown.tick_size, unknown.lot_size) == (Decimal("1E-8"), Decimal("1E-8"))
    assert unknown.violation(OrderType.LIMIT, Decimal("0.00000001"), Decimal("0.00000001")) is None


def test_sides_have_opposites_and_signs() -> None:
    assert Side.BUY.opposite is Side.SELL
    assert Side.SELL.opposite is Side.BUY
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)


def test_an_unknown_order_is_not_final() -> None:
    final = [status for status in OrderStatus if status.is_final]
    assert final == [OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED]
