"""Accounts: balances, positions, fees and the identity that ties them to the equity."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.accounts import Account, Rates, Valuation
from tickdeck.domain.events import (
    BalanceEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionClosedEvent,
    PositionOpenedEvent,
    PositionUpdatedEvent,
    VenueBalanceReported,
)
from tickdeck.domain.market import Instrument, instrument_for
from tickdeck.domain.values import Side

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
BTC = instrument_for("BTCUSDT")
ETH = instrument_for("ETHUSDT")
ETHBTC = instrument_for("ETHBTC")


INSTRUMENTS = {instrument.symbol: instrument for instrument in (BTC, ETH, ETHBTC)}


def valuation(account: Account) -> Valuation:
    return Valuation(account, Rates(INSTRUMENTS, INSTRUMENTS.__getitem__), INSTRUMENTS.__getitem__)


def equity(account: Account, prices: dict[str, Decimal]) -> Decimal:
    return valuation(account).equity(prices.get)


def funded(total: str = "100000") -> Account:
    account = Account()
    account.set_balance(VenueBalanceReported(currency="USDT", total=D(total)))
    return account


def fill(
    side: Side, price: str | Decimal, quantity: str | Decimal, fee: str | Decimal = "0", fee_currency: str = "USDT",
    symbol: str = "BTCUSDT", kind: type = OrderFilledEvent,
) -> OrderFilledEvent | OrderPartiallyFilledEvent:  # fmt: skip
    return kind(
        order_id="o-1",
        symbol=symbol,
        side=side,
        price=D(price),
        quantity=D(quantity),
        filled=D(quantity),
        remaining=D(0),
        average_price=D(price),
        fee=D(fee),
        fee_currency=fee_currency,
        ts=7,
    )


# -- balances -------------------------------------------------------------------------------------------------------


def test_reported_balance_is_adopted_and_counts_as_paid_in() -> None:
    account = Account(account_id="main", quote="USDT")

    events = account.set_balance(VenueBalanceReported(currency="USDT", total=D(100), ts=3))

    assert events == [BalanceEvent(currency="USDT", total=D(100), free=D(100), change=D(100), deposit=D(100), ts=3)]
    assert account.balances["USDT"] == account.deposits() == equity(account, {}) == 100


def test_report_of_the_same_balance_changes_nothing() -> None:
    assert funded("100").set_balance(VenueBalanceReported(currency="USDT", total=D("100.00"))) == []


def test_transfer_changes_deposits_and_makes_no_profit() -> None:
    account = funded("100")

    (event,) = account.set_balance(VenueBalanceReported(currency="USDT", total=D(70)))

    assert (event.change, account.deposits(), equity(account, {})) == (-30, 70, 70)


# -- fills and their events -----------------------------------------------------------------------------------------


def test_purchase_opens_a_position_and_moves_both_balances() -> None:
    account = funded()

    events = account.apply_fill(fill(BUY, "60000", "0.5", "30"), BTC)

    assert events == [
        PositionOpenedEvent(
            symbol="BTCUSDT",
            quantity=D("0.5"),
            cost=D(30000),
            average_price=D(60000),
            total_fees=D(30),
            currency="USDT",
            opened_by_orders=("o-1",),
            ts=7,
        ),
        BalanceEvent(currency="BTC", total=D("0.5"), free=D("0.5"), change=D("0.5"), ts=7),
        BalanceEvent(currency="USDT", total=D(69970), free=D(69970), change=D(-30030), fee=D(30), ts=7),
    ]
    assert account.position("BTCUSDT").quantity == D("0.5")
    assert account.fees() == 30


def test_partial_fills_update_the_position() -> None:
    account = funded()
    account.apply_fill(fill(BUY, "60000", "0.5", kind=OrderPartiallyFilledEvent), BTC)

    more, *_ = account.apply_fill(fill(BUY, "61000", "0.5"), BTC)
    less, *_ = account.apply_fill(fill(SELL, "61500", "0.2"), BTC)

    assert more == PositionUpdatedEvent(
        symbol="BTCUSDT",
        quantity=D(1),
        cost=D(60500),
        average_price=D(60500),
        currency="USDT",
        opened_by_orders=("o-1",),
        ts=7,
    )
    assert less == PositionUpdatedEvent(
        symbol="BTCUSDT",
        quantity=D("0.8"),
        cost=D(48400),
        average_price=D(60500),
        currency="USDT",
        closed_by_orders=("o-1",),
        realized_pnl=D(200),
        total_realized_pnl=D(200),
        ts=7,
    )


def test_closed_position_has_the_average_of_the_closed_part() -> None:
    account = funded()
    account.apply_fill(fill(BUY, "60000", "1"), BTC)

    closed, btc, usdt = account.apply_fill(fill(SELL, "61000", "1"), BTC)

    assert closed == PositionClosedEvent(
        symbol="BTCUSDT",
        quantity=D(0),
        cost=D(0),
        average_price=D(60000),
        currency="USDT",
        opened_by_orders=("o-1",),
        closed_by_orders=("o-1",),
        realized_pnl=D(1000),
        total_realized_pnl=D(1000),
        ts=7,
    )
    assert (btc.total, usdt.total) == (0, 101000)
    assert account.realized_pnl() == 1000


def test_flip_is_a_closed_and_an_opened_position() -> None:
    account = funded()
    account.apply_fill(fill(BUY, "60000", "1"), BTC)

    closed, opened, *balances = account.apply_fill(fill(SELL, "61000", "3"), BTC)

    assert isinstance(closed, PositionClosedEvent)
    assert (closed.quantity, closed.realized_pnl) == (0, 1000)
    assert isinstance(opened, PositionOpenedEvent)
    assert (opened.quantity, opened.average_price, opened.realized_pnl) == (-2, 61000, 0)
    assert opened.total_realized_pnl == 1000
    assert [b.currency for b in balances] == ["BTC", "USDT"]


def test_position_that_was_closed_can_be_opened_again() -> None:
    account = funded()
    account.apply_fill(fill(BUY, "60000", "1"), BTC)
    account.apply_fill(fill(SELL, "61000", "1"), BTC)

    opened, *_ = account.apply_fill(fill(BUY, "50000", "1"), BTC)

    assert isinstance(opened, PositionOpenedEvent)
    assert (opened.average_price, opened.total_realized_pnl) == (50000, 1000)


# -- fees -----------------------------------------------------------------------------------------------------------


def test_fee_in_base_reduces_balance_and_position_and_counts_at_the_fills_price() -> None:
    account = funded()

    events = account.apply_fill(fill(BUY, "60000", "1", "0.001", "BTC"), BTC)

    assert [type(e) for e in events] == [PositionOpenedEvent, BalanceEvent, BalanceEvent]
    assert account.balances == {"USDT": D(40000), "BTC": D("0.999")}
    assert account.position("BTCUSDT").quantity == D("0.999")
    assert account.position("BTCUSDT").average_price == 60000
    assert account.fees() == 60
    assert equity(account, {"BTCUSDT": D(60000)}) == 100000 - 60


def test_fee_in_base_of_a_sale_is_sold_on_top() -> None:
    account = funded()
    account.apply_fill(fill(BUY, "60000", "1"), BTC)

    account.apply_fill(fill(SELL, "60000", "0.5", "0.001", "BTC"), BTC)

    assert account.position("BTCUSDT").quantity == account.balances["BTC"] == D("0.499")


def test_fee_that_consumes_the_whole_fill_leaves_the_position_unchanged() -> None:
    account = funded()

    events = account.apply_fill(fill(BUY, "60000", "0.001", "0.001", "BTC"), BTC)

    assert [type(e) for e in events] == [BalanceEvent]
    assert account.positions == {}
    assert equity(account, {}) == account.deposits() - account.fees() == 100000 - 60


def test_fee_in_a_third_currency_is_paid_and_counted_in_it() -> None:
    account = funded()
    account.set_balance(VenueBalanceReported(currency="BNB", total=D(1)))

    events = account.apply_fill(fill(BUY, "60000", "1", "0.05", "BNB"), BTC)

    assert [e.currency for e in events if isinstance(e, BalanceEvent)] == ["BTC", "USDT", "BNB"]
    assert account.balances["BNB"] == D("0.95")
    assert (account.fees(), account.fees("BNB")) == (0, D("0.05"))


def test_fee_without_a_currency_is_in_quote() -> None:
    account = funded()

    account.apply_fill(fill(BUY, "60000", "1", "60", ""), BTC)

    assert (account.balances["USDT"], account.fees()) == (39940, 60)


def test_rebate_is_a_negative_fee() -> None:
    account = funded()

    account.apply_fill(fill(BUY, "60000", "1", "-6"), BTC)

    assert account.fees() == -6
    assert equity(account, {"BTCUSDT": D(60000)}) == 100006


# -- figures --------------------------------------------------------------------------------------------------------


def test_equity_follows_the_price_of_what_is_held() -> None:
    account = funded()
    account.apply_fill(fill(BUY, "60000", "1"), BTC)
    prices = {"BTCUSDT": D(61000)}

    assert account.unrealized_pnl(prices.get) == 1000
    assert equity(account, prices) == 101000


def test_position_without_a_price_is_valued_at_its_cost() -> None:
    account = funded()
    account.apply_fill(fill(SELL, "60000", "1"), BTC)

    assert account.unrealized_pnl({}.get) == 0
    assert equity(account, {}) == 100000


def test_figures_of_one_quote_currency_are_of_the_symbols_quoted_in_it() -> None:
    account = funded()
    account.set_balance(VenueBalanceReported(currency="BTC", total=D(2)))
    account.apply_fill(fill(BUY, "3000", "10", symbol="ETHUSDT"), ETH)
    account.apply_fill(fill(BUY, "0.05", "20", "0.001", "BTC", symbol="ETHBTC"), ETHBTC)
    prices = {"ETHUSDT": D(3100), "ETHBTC": D("0.06")}

    assert account.unrealized_pnl(prices.get) == 1000
    assert account.unrealized_pnl(prices.get, "BTC") == D("0.2")
    assert account.fees("BTC") == D("0.001")
    assert account.realized_pnl("BTC") == 0
    assert account.balances["ETH"] == 30


def test_symbol_never_traded_has_a_flat_position_that_is_not_kept() -> None:
    account = funded()

    assert account.position("BTCUSDT").is_flat
    assert account.positions == {}


# -- properties -----------------------------------------------------------------------------------------------------

lots = st.integers(1, 10**7).map(lambda n: D(n).scaleb(-5))
ticks = st.integers(1, 10**7).map(lambda n: D(n).scaleb(-2))
fees = st.integers(-(10**6), 10**7).map(lambda n: D(n).scaleb(-8))
instruments = st.sampled_from([BTC, ETH])
trades = st.lists(
    st.tuples(instruments, st.sampled_from(Side), ticks, lots, fees, st.booleans()), min_size=1, max_size=20
)


def book(account: Account, trade: tuple[Instrument, Side, Decimal, Decimal, Decimal, bool]) -> None:
    instrument, side, price, quantity, fee, in_base = trade
    currency = instrument.base if in_base else instrument.quote
    account.apply_fill(fill(side, price, quantity, fee, currency, instrument.symbol), instrument)


@given(trades, ticks, ticks)
def test_equity_is_deposits_plus_profits_minus_fees_to_the_last_digit(
    history: list, btc_price: Decimal, eth_price: Decimal
) -> None:
    account = funded()
    prices = {"BTCUSDT": btc_price, "ETHUSDT": eth_price}

    for trade in history:
        book(account, trade)

        profits = account.realized_pnl() + account.unrealized_pnl(prices.get)
        assert equity(account, prices) == account.deposits() + profits - account.fees()


@given(trades, ticks)
def test_without_a_change_of_price_fees_alone_cost_equity(history: list, price: Decimal) -> None:
    account = funded()

    for instrument, side, _, quantity, fee, in_base in history:
        book(account, (instrument, side, price, quantity, fee, in_base))

    prices = {"BTCUSDT": price, "ETHUSDT": price}
    assert equity(account, prices) == account.deposits() - account.fees()


@given(trades)
def test_balances_equal_positions_and_events_have_the_final_state(history: list) -> None:
    account = funded()
    told: dict[str, Decimal] = {"USDT": D(100000)}
    sides: dict[str, Decimal] = {}
    for instrument, side, price, quantity, fee, _ in history:
        for event in account.apply_fill(fill(side, price, quantity, fee, symbol=instrument.symbol), instrument):
            if isinstance(event, BalanceEvent):
                assert told.get(event.currency, D(0)) + event.change == event.total
                told[event.currency] = event.total
            else:
                before = sides.get(event.symbol, D(0))
                sides[event.symbol] = event.quantity
                assert isinstance(event, PositionOpenedEvent) == (before == 0)
                assert isinstance(event, PositionClosedEvent) == (event.quantity == 0)

    assert told == account.balances
    assert sides == {symbol: p.quantity for symbol, p in account.positions.items()}
    for instrument in (BTC, ETH):
        assert account.balances.get(instrument.base, D(0)) == account.position(instrument.symbol).quantity


@pytest.mark.parametrize("parts", [3, 7])
def test_round_trip_in_uneven_parts_returns_every_last_digit(parts: int) -> None:
    account = funded()
    account.apply_fill(fill(BUY, "60000.01", "1"), BTC)
    account.apply_fill(fill(BUY, "60000.02", "2"), BTC)

    for _ in range(parts):
        account.apply_fill(fill(SELL, "60000", D(3) / 2 / parts), BTC)
    account.apply_fill(fill(SELL, "60000", account.position("BTCUSDT").quantity), BTC)

    assert account.position("BTCUSDT").is_flat
    assert account.realized_pnl() == D("-0.05")
    assert account.balances["USDT"] == D("99999.95")
