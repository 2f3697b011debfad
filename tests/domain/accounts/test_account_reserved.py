"""What an account has free: its balances without what others' orders lock and our own orders reserve."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tickdeck.domain.accounts import Account
from tickdeck.domain.events import (
    OrderAcceptedEvent,
    OrderCancelledEvent,
    OrderEvent,
    OrderPartiallyFilledEvent,
    OrderSubmittedEvent,
    VenueBalanceReported,
)
from tickdeck.domain.market import instrument_for
from tickdeck.domain.values import Side

D = Decimal


def submitted(order_id: str, amount: str, currency: str = "USDT") -> OrderEvent:
    return OrderSubmittedEvent(
        order_id=order_id,
        symbol="BTCUSDT",
        side=Side.BUY,
        quantity=D(1),
        reserved=D(amount),
        reserved_currency=currency,
    )


def account() -> Account:
    made = Account()
    made.set_balance(VenueBalanceReported(currency="USDT", total=D(1_000), locked=D(100)))
    made.set_balance(VenueBalanceReported(currency="BTC", total=D(2)))
    return made


def test_an_account_is_main_in_dollars_and_nobodys_by_default() -> None:
    for made in (Account(), Account.fold([])):
        assert (made.account_id, made.quote, made.user_id, made.homes) == ("main", "USDT", "", {})


def test_what_the_venue_locks_is_not_free() -> None:
    made = account()
    assert (made.balances["USDT"], made.free("USDT"), made.free("BTC"), made.free("ETH")) == (1_000, 900, 2, 0)


def test_a_report_that_changes_the_lock_alone_is_an_event_without_a_deposit() -> None:
    made = account()
    [event] = made.set_balance(VenueBalanceReported(currency="USDT", total=D(1_000), locked=D(30)))
    assert (event.total, event.locked, event.free, event.change, event.deposit) == (1_000, 30, 970, 0, 0)
    assert made.free("USDT") == 970
    assert made.deposits("USDT") == 1_000
    assert made.set_balance(VenueBalanceReported(currency="USDT", total=D(1_000), locked=D(30))) == []
    [released] = made.set_balance(VenueBalanceReported(currency="USDT", total=D(1_000)))
    assert (released.locked, made.free("USDT")) == (0, 1_000)


def test_orders_reserve_their_currency_until_they_end() -> None:
    made = account()
    made.reserve(submitted("a", "200"))
    made.reserve(submitted("b", "50"))
    made.reserve(submitted("c", "0.5", "BTC"))
    assert (made.reserved("USDT"), made.free("USDT")) == (250, 650)
    assert (made.reserved("BTC"), made.free("BTC")) == (D("0.5"), D("1.5"))

    made.reserve(OrderCancelledEvent(order_id="a", symbol="BTCUSDT", filled=D(0), remaining=D(1)))
    assert (made.reserved("USDT"), made.reserved("BTC")) == (50, D("0.5"))
    made.reserve(OrderCancelledEvent(order_id="a", symbol="BTCUSDT", filled=D(0), remaining=D(1)))
    assert made.reserved("USDT") == 50
    assert made.reserved("ETH") == 0


def test_an_order_reserves_what_its_newest_event_says() -> None:
    made = account()
    made.reserve(submitted("a", "200"))
    for amount in ("200", "120", "130"):
        made.reserve(OrderAcceptedEvent(order_id="a", symbol="BTCUSDT", reserved=D(amount), reserved_currency="USDT"))
        assert made.reserved("USDT") == D(amount)
    made.reserve(OrderAcceptedEvent(order_id="a", symbol="BTCUSDT", reserved=D(1), reserved_currency="BTC"))
    assert (made.reserved("USDT"), made.reserved("BTC")) == (0, 1)


def test_balance_events_say_what_is_locked_reserved_and_free() -> None:
    made = account()
    made.reserve(submitted("a", "200"))
    fill = OrderPartiallyFilledEvent(
        order_id="a", symbol="BTCUSDT", side=Side.BUY, price=D(100), quantity=D(1), filled=D(1), remaining=D(1),
        average_price=D(100), order_quantity=D(2), venue_trade_id="t", fee=D("0.1"), fee_currency="USDT",
    )  # fmt: skip
    *_, quote = made.apply_fill(fill, instrument_for("BTCUSDT"))
    assert quote.payload == {
        "account_id": "main", "user_id": "", "currency": "USDT", "total": "899.9", "free": "599.9", "locked": "100",
        "reserved": "200", "change": "-100.1", "deposit": "0", "fee": "0.1",
    }  # fmt: skip


@pytest.mark.parametrize("sold", ["3", "2"])
def test_the_end_of_a_position_has_neither_quantity_nor_cost(sold: str) -> None:
    made = account()
    market = instrument_for("BTCUSDT")

    def fill(side: Side, quantity: str, price: str) -> OrderPartiallyFilledEvent:
        return OrderPartiallyFilledEvent(
            order_id=f"{side}", symbol="BTCUSDT", side=side, price=D(price), quantity=D(quantity), filled=D(quantity),
            remaining=D(1), average_price=D(price), order_quantity=D(9), venue_trade_id=f"{side}{quantity}", fee=D(0),
        )  # fmt: skip

    made.apply_fill(fill(Side.BUY, "2", "100"), market)
    closed, *rest = made.apply_fill(fill(Side.SELL, sold, "110"), market)
    values = closed.payload
    assert (values["quantity"], values["cost"], values["average_price"], values["realized_pnl"]) == (
        "0",
        "0",
        "100",
        "20",
    )
    assert (values["opened_by_orders"], values["closed_by_orders"]) == (("buy",), ("sell",))
    opened = [event.payload for event in rest if event.event_type == "position.opened"]
    assert [(event["quantity"], event["cost"], event["opened_by_orders"]) for event in opened] == (
        [("-1", "-110", ("sell",))] if sold == "3" else []
    )


def sale(**fields: object) -> OrderPartiallyFilledEvent:
    given = {"price": D(100), "quantity": D(1), "fee": D(0), "symbol": "ETHBTC", "account_id": "alt", **fields}
    return OrderPartiallyFilledEvent(
        order_id="s", side=Side.SELL, filled=D(1), remaining=D(1), average_price=D(100), order_quantity=D(9),
        venue_trade_id="t", **given,
    )  # fmt: skip


def test_events_name_the_account_and_its_owner() -> None:
    made = Account("alt", user_id="ann")
    events = [
        *made.set_balance(VenueBalanceReported(currency="USDT", total=D(1))),
        *made.apply_fill(sale(symbol="BTCUSDT"), instrument_for("BTCUSDT")),
    ]
    assert len(events) == 4
    assert {(event.account_id, event.user_id) for event in events} == {("alt", "ann")}


def test_figures_are_in_the_quote_currency_of_the_account_or_in_the_one_asked_for() -> None:
    made = Account("alt", quote="BTC")
    made.set_balance(VenueBalanceReported(currency="BTC", total=D(3)))
    made.set_balance(VenueBalanceReported(currency="USDT", total=D(50)))
    made.apply_fill(sale(price=D("0.05"), fee=D("0.001"), fee_currency="BTC"), instrument_for("ETHBTC"))
    made.apply_fill(sale(symbol="BTCUSDT", fee=D(2), fee_currency="BNB"), instrument_for("BTCUSDT"))

    def price(symbol: str) -> Decimal:
        return {"ETHBTC": D("0.04"), "BTCUSDT": D(90)}[symbol]

    assert (made.deposits(), made.deposits("USDT"), made.deposits("XRP")) == (3, 50, 0)
    assert (made.fees(), made.fees("BNB"), made.fees("USDT")) == (D("0.001"), 2, 0)
    assert (made.unrealized_pnl(price), made.unrealized_pnl(price, "USDT")) == (D("0.01"), 10)
    assert (made.position_value(price), made.position_value(price, "USDT")) == (D("-0.04"), -90)
    assert (made.realized_pnl(), made.realized_pnl("USDT"), made.realized_pnl("XRP")) == (0, 0, 0)
    assert made.quotes() == ("BTC", "USDT")


def test_a_fee_that_takes_all_the_proceeds_is_still_an_event() -> None:
    made = account()
    events = made.apply_fill(
        sale(symbol="BTCUSDT", account_id="main", fee=D(100), fee_currency="USDT"), instrument_for("BTCUSDT")
    )
    [quote] = [
        event.payload for event in events if event.payload.get("currency") == "USDT" and "change" in event.payload
    ]
    assert (quote["change"], quote["fee"], quote["total"]) == ("0", "100", "1000")
    assert made.fees() == 100


def test_coins_that_became_a_position_wait_no_longer_after_a_fold() -> None:
    homes = {"BTC": "BTCUSDT"}
    made = Account(homes=homes)
    events = [
        *made.set_balance(VenueBalanceReported(currency="BTC", total=D(2))),
        *made.open_holding(instrument_for("BTCUSDT"), D(100), 5),
    ]
    assert [event.event_type for event in events] == ["balance.updated", "position.opened"]
    assert made.open_holding(instrument_for("BTCUSDT"), D(100), 6) == []
    folded = Account.fold(events, homes=homes)
    assert (folded.unpriced, made.unpriced) == ({}, {})
    assert folded.position("BTCUSDT").quantity == 2
