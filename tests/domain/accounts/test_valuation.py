"""The value of an account with several currencies in one of them, at known prices."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.accounts import Account, Rates, Valuation, reporting_currency
from tickdeck.domain.events import OrderFilledEvent, PositionOpenedEvent, VenueBalanceReported
from tickdeck.domain.market import instrument_for
from tickdeck.domain.values import Price, Side

D = Decimal


class Books:
    """An account of a run on ``symbols``, and the last prices."""

    def __init__(self, *symbols: str) -> None:
        rates = Rates(symbols, instrument_for)
        quote = reporting_currency(map(instrument_for, symbols))
        self.account = Account(quote=quote, homes=rates.homes(quote))
        self.valuation = Valuation(self.account, rates, instrument_for)
        self.prices: dict[str, Price] = {}
        self.opened: list[PositionOpenedEvent] = []

    def begins_with(self, currency: str, amount: str) -> None:
        report = VenueBalanceReported(currency=currency, total=D(amount))
        self.valuation.take(self.account.set_balance(report), self.prices.get)

    def price(self, symbol: str, price: str) -> None:
        self.prices[symbol] = D(price)
        for event in self.valuation.on_price(symbol, self.prices.get, 7):
            assert isinstance(event, PositionOpenedEvent)
            self.opened.append(event)

    def fill(self, symbol: str, side: Side, quantity: str, fee: str = "0", fee_currency: str = "") -> None:
        price, size = self.prices[symbol], D(quantity)
        fill = OrderFilledEvent(
            order_id="o", symbol=symbol, side=side, price=price, quantity=size, filled=size, remaining=D(0),
            average_price=price, fee=D(fee), fee_currency=fee_currency,
        )  # fmt: skip
        self.valuation.take(self.account.apply_fill(fill, instrument_for(symbol)), self.prices.get)

    @property
    def figures(self) -> tuple[Decimal, ...]:
        """Equity, cash, PnL, fees."""
        price = self.prices.get
        of = self.valuation
        return of.equity(price), of.cash(price), of.pnl(price), of.fees


def test_coins_that_an_account_begins_with_are_a_position_at_the_first_price() -> None:
    books = Books("BTCUSDT")
    books.begins_with("USDT", "1000")
    books.begins_with("BTC", "1")
    assert books.valuation.left_out(books.prices.get) == {"BTC": 1}
    assert books.valuation.waits

    books.price("BTCUSDT", "60000")

    (opened,) = books.opened
    assert (opened.symbol, opened.quantity, opened.cost, opened.opened_by_orders) == ("BTCUSDT", 1, 60_000, ())
    assert books.figures == (61_000, 1_000, 0, 0)
    assert books.valuation.left_out(books.prices.get) == {}
    assert not books.valuation.waits

    books.price("BTCUSDT", "61000")
    books.fill("BTCUSDT", Side.SELL, "0.1")
    assert books.account.position("BTCUSDT").quantity == D("0.9")
    assert books.account.position("BTCUSDT").realized_pnl == 100
    assert books.figures == (62_000, 7_100, 1_000, 0)
    assert len(books.opened) == 1


def test_every_currency_counts_at_a_direct_price_or_through_another_currency() -> None:
    books = Books("BTCUSDT", "ETHBTC")
    books.begins_with("USDT", "10000")
    books.price("BTCUSDT", "50000")
    books.price("ETHBTC", "0.05")
    books.fill("BTCUSDT", Side.BUY, "0.1", "5")
    books.fill("ETHBTC", Side.BUY, "1", "0.001", "BTC")

    # 4,995 USDT are left, and 0.1 - 0.05 - 0.001 BTC and 1 ETH, of which 0.1 BTC and 1 ETH are positions.
    assert books.figures == (4_995 + D("0.049") * 50_000 + 2_500, 4_995 - D("0.051") * 50_000, -55, 55)
    books.price("BTCUSDT", "60000")
    assert books.figures == (4_995 + D("0.049") * 60_000 + 3_000, 4_995 - D("0.051") * 60_000, 935, 55)
    assert set(books.valuation.symbols()) == {"BTCUSDT", "ETHBTC"}


def test_a_price_is_inverted_if_there_is_no_other() -> None:
    books = Books("ETHUSDT", "ETHBTC")
    books.begins_with("BTC", "2")
    books.price("ETHUSDT", "3000")
    assert books.valuation.left_out(books.prices.get) == {"BTC": 2}

    books.price("ETHBTC", "0.05")

    assert books.figures == (120_000, 120_000, 0, 0)
    books.price("ETHBTC", "0.04")
    assert books.figures == (150_000, 150_000, 30_000, 0)


def test_a_fee_in_a_third_currency_counts_at_its_price_when_it_was_paid() -> None:
    books = Books("BTCUSDT", "BNBUSDT")
    books.begins_with("USDT", "10000")
    books.begins_with("BNB", "1")
    books.price("BTCUSDT", "50000")
    books.price("BNBUSDT", "600")
    books.fill("BTCUSDT", Side.BUY, "0.1", "0.01", "BNB")
    books.price("BNBUSDT", "700")

    equity, _, pnl, fees = books.figures
    assert fees == 6
    assert equity == 10_000 + D("0.99") * 700
    assert pnl == 100 - D("0.01") * 700


def test_amounts_without_a_price_are_in_no_figure_and_reported() -> None:
    books = Books("BTCUSDT")
    books.begins_with("USDT", "10000")
    books.begins_with("EUR", "500")
    books.price("BTCUSDT", "50000")
    books.fill("BTCUSDT", Side.BUY, "0.1", "0.01", "BNB")

    assert books.figures == (10_000, 5_000, 0, 0)
    assert books.valuation.left_out(books.prices.get) == {"BNB": D("-0.01"), "EUR": 500}
    assert not books.valuation.waits, "no symbol of the run can ever tell"


def test_a_fee_that_is_paid_before_there_is_a_price_counts_at_the_first() -> None:
    books = Books("ETHBTC", "BTCUSDT")
    books.price("ETHBTC", "0.05")
    books.fill("ETHBTC", Side.BUY, "1", "0.001", "BTC")
    assert books.figures == (0, 0, 0, 0)

    books.price("BTCUSDT", "50000")
    books.price("BTCUSDT", "60000")

    assert books.figures == (-60, -3060, -60, 50)


def test_coins_are_a_position_in_the_pair_not_in_a_contract_on_it() -> None:
    rates = Rates(("BTCUSDT_250328", "BTCEUR", "BTC-USDT"), instrument_for)
    assert rates.homes("USDT") == {"BTC": "BTC-USDT"}
    prices = {"BTCUSDT_250328": D(61), "BTC-USDT": D(60)}
    assert rates.rate("BTC", "USDT", prices.get) == 60
    assert Rates(("BTCUSDT_250328",), instrument_for).homes("USDT") == {"BTC": "BTCUSDT_250328"}


@pytest.mark.parametrize(
    ("symbols", "currency"),
    [(("ETHBTC", "BTCUSDT"), "USDT"), (("ETHBTC", "XRPETH"), "BTC"), (("BTCEUR", "BTCUSDT"), "EUR")],
)
def test_figures_are_in_the_first_dollar_or_fiat_quote_currency_or_the_first(
    symbols: tuple[str, ...], currency: str
) -> None:
    assert reporting_currency(map(instrument_for, symbols)) == currency


amounts = st.integers(1, 1_000).map(lambda n: Decimal(n) / 8)
steps = st.lists(st.tuples(st.sampled_from(["BTCUSDT", "ETHBTC", "ETHUSDT"]), st.booleans(), amounts, amounts))


@given(steps)
def test_equity_is_the_sum_of_all_balances_at_the_last_prices(made: list[tuple[str, bool, Decimal, Decimal]]) -> None:
    books = Books("BTCUSDT", "ETHBTC", "ETHUSDT")
    for currency in ("USDT", "BTC", "ETH"):
        books.begins_with(currency, "100")
    for symbol in ("ETHUSDT", "ETHBTC", "BTCUSDT"):
        books.price(symbol, "3")
    for symbol, buys, quantity, price in made:
        books.price(symbol, str(price))
        books.fill(symbol, Side.BUY if buys else Side.SELL, str(quantity), "0.25", "ETH")

    held, prices = books.account.balances, books.prices
    in_positions = {s: books.account.position(s).quantity for s in prices}
    # A coin in a position counts at the price of its symbol, what is left of it at the direct price.
    expected = held["USDT"] + in_positions["ETHBTC"] * prices["ETHBTC"] * prices["BTCUSDT"]
    expected += (held["ETH"] - in_positions["ETHBTC"]) * prices["ETHUSDT"] + held["BTC"] * prices["BTCUSDT"]
    assert books.valuation.equity(prices.get) == expected
    assert books.valuation.pnl(prices.get) == expected - 700
