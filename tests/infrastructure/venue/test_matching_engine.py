"""The venue's matching engine: priority, money, filters, self-trade prevention; and invariants under any calls."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tickdeck.infrastructure.venue.matching import (
    ExecutionKind,
    Market,
    MarketStatus,
    MatchingEngine,
    NewOrder,
    Order,
    OrderRefused,
    Refusal,
    SelfTrade,
    Status,
    Tif,
    Type,
)

D = Decimal
BTC = Market(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=D(1),
    step_size=D("0.1"),
    min_quantity=D("0.1"),
    min_notional=D(1),
)
ids = iter(range(1_000_000))


def engine(**market: Any) -> MatchingEngine:
    venue = MatchingEngine([msgspec.structs.replace(BTC, **market)])
    for account in ("ann", "bob", "cyd"):
        venue.deposit(account, "USDT", D(10_000))
        venue.deposit(account, "BTC", D(100))
    return venue


def place(
    venue: MatchingEngine, account: str, side: str, quantity: str, price: str | None = None, **more: Any
) -> Order:
    more.setdefault("type", Type.LIMIT if price is not None else Type.MARKET)
    return venue.place(
        NewOrder(
            account=account,
            symbol="BTCUSDT",
            is_buy=side == "buy",
            quantity=D(quantity),
            price=D(price) if price is not None else None,
            client_id=more.pop("client_id", f"c{next(ids)}"),
            **more,
        ),
        1,
    )


def refusal(call: Any, *args: Any, **kwargs: Any) -> Refusal:
    with pytest.raises(OrderRefused) as refused:
        call(*args, **kwargs)
    return refused.value.reason


# -- priority ---------------------------------------------------------------------------------------------------------


def test_the_better_price_fills_first_and_within_a_price_the_earlier_order() -> None:
    venue = engine()
    late_good = place(venue, "ann", "sell", "1", "101")
    first = place(venue, "bob", "sell", "1", "100")
    second = place(venue, "ann", "sell", "1", "100")

    taker = place(venue, "cyd", "buy", "1.5", "101")

    assert (taker.status, taker.spent) == (Status.FILLED, D("150"))
    assert (first.filled, second.filled, late_good.filled) == (D(1), D("0.5"), D(0))


def test_a_taker_gets_the_makers_price_and_the_rest_of_its_lock_back() -> None:
    venue = engine()
    place(venue, "ann", "sell", "2", "100")

    place(venue, "bob", "buy", "2", "120")

    free, locked = venue.balances.of("bob")["USDT"]
    assert (free, locked) == (D(10_000) - 200, D(0))


def test_a_reduced_order_keeps_its_place_in_the_queue() -> None:
    venue = engine()
    first = place(venue, "ann", "sell", "2", "100")
    second = place(venue, "bob", "sell", "1", "100")

    venue.reduce("ann", "BTCUSDT", first.number, D(1), 2)
    place(venue, "cyd", "buy", "1", "100")

    assert (first.status, second.filled) == (Status.FILLED, D(0))
    assert venue.balances.of("ann")["BTC"].locked == 0


# -- order types ------------------------------------------------------------------------------------------------------


def test_an_ioc_order_takes_what_it_can_and_expires() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")

    order = place(venue, "bob", "buy", "3", "100", tif=Tif.IOC)

    assert (order.status, order.filled) == (Status.EXPIRED, D(1))
    assert venue.balances.of("bob")["USDT"].locked == 0


def test_a_fok_order_fills_whole_or_not_at_all() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")
    place(venue, "ann", "sell", "1", "101")

    short = place(venue, "bob", "buy", "2.1", "101", tif=Tif.FOK)
    whole = place(venue, "bob", "buy", "2", "101", tif=Tif.FOK)

    assert (short.status, short.filled) == (Status.EXPIRED, D(0))
    assert (whole.status, whole.spent) == (Status.FILLED, D(201))


def test_a_post_only_order_that_would_take_is_refused_and_changes_nothing() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")

    assert refusal(place, venue, "bob", "buy", "1", "100", type=Type.LIMIT_MAKER) is Refusal.WOULD_TAKE
    assert venue.balances.of("bob")["USDT"] == (D(10_000), D(0))
    assert venue.open_orders("bob") == []


def test_a_market_order_takes_level_by_level_and_the_rest_expires() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")
    place(venue, "ann", "sell", "1", "110")

    order = place(venue, "bob", "buy", "5")

    assert (order.status, order.filled, order.spent) == (Status.EXPIRED, D(2), D(210))


def test_a_market_buy_sized_in_quote_spends_no_more_than_asked() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")
    place(venue, "ann", "sell", "5", "110")

    order = venue.place(
        NewOrder(account="bob", symbol="BTCUSDT", is_buy=True, type=Type.MARKET, quote_quantity=D(250), client_id="q"),
        1,
    )

    assert (order.status, order.spent, order.filled) == (Status.FILLED, D(243), D("2.3"))
    assert venue.balances.of("bob")["USDT"] == (D(10_000) - 243, D(0))


def test_an_order_sized_in_quote_reports_its_last_trade_as_the_one_that_filled_it() -> None:
    venue = engine()
    place(venue, "ann", "sell", "5", "100")
    venue.drain()

    venue.place(
        NewOrder(account="bob", symbol="BTCUSDT", is_buy=True, type=Type.MARKET, quote_quantity=D(255), client_id="q"),
        1,
    )

    mine = [e for e in venue.drain() if e.order.account == "bob"]
    assert [(e.kind, e.status) for e in mine] == [
        (ExecutionKind.NEW, Status.NEW),
        (ExecutionKind.TRADE, Status.FILLED),
    ]


def test_an_order_sized_in_quote_expires_when_the_book_is_empty() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")

    order = venue.place(
        NewOrder(account="bob", symbol="BTCUSDT", is_buy=True, type=Type.MARKET, quote_quantity=D(255), client_id="q"),
        1,
    )

    assert (order.status, order.filled) == (Status.EXPIRED, D(1))


def test_an_amended_order_answers_to_its_new_client_id_alone() -> None:
    venue = engine()
    order = place(venue, "ann", "sell", "2", "100", client_id="old")

    venue.reduce("ann", "BTCUSDT", order.number, D(1), 2, client_id="new")

    assert venue.find("ann", "BTCUSDT", client_id="new") is order
    assert venue.find("ann", "BTCUSDT", client_id="old") is None


def test_filters_do_not_bind_the_venues_own_accounts() -> None:
    venue = engine(max_orders=1)
    venue.deposit("#makers", "BTC", D(10))

    for _ in range(2):
        place(venue, "#makers", "sell", "0.01", "100.5")

    assert venue.depth("BTCUSDT", 5)[1] == [(D("100.5"), D("0.02"))]


# -- stop orders and fee assets ---------------------------------------------------------------------------------------


def stop(
    venue: MatchingEngine, account: str, side: str, quantity: str, at: str, limit: str | None = None, **more: Any
) -> Order:
    kind = Type.STOP_LOSS if limit is None else Type.STOP_LOSS_LIMIT
    return place(venue, account, side, quantity, limit, **{"type": kind, "stop_price": D(at), **more})


def trade(venue: MatchingEngine, price: str) -> None:
    place(venue, "#makers", "sell", "0.1", price)
    place(venue, "#takers", "buy", "0.1", price)


def with_makers() -> MatchingEngine:
    venue = engine()
    for account in ("#makers", "#takers"):
        venue.deposit(account, "USDT", D(10**9))
        venue.deposit(account, "BTC", D(10**9))
    return venue


@pytest.mark.parametrize(
    ("kind", "side", "stop_price", "before", "reaches"),
    [
        (Type.STOP_LOSS, "sell", "95", "96", "95"),
        (Type.STOP_LOSS, "buy", "105", "104", "105"),
        (Type.TAKE_PROFIT, "sell", "105", "104", "106"),
        (Type.TAKE_PROFIT, "buy", "95", "96", "94"),
    ],
)
def test_a_stop_order_waits_until_a_trade_reaches_its_price(
    kind: Type, side: str, stop_price: str, before: str, reaches: str
) -> None:
    venue = with_makers()
    trade(venue, "100")
    place(venue, "#makers", "buy", "50", "80")
    place(venue, "#makers", "sell", "50", "120")
    order = stop(venue, "ann", side, "1", stop_price, type=kind)
    assert (order.is_waiting, order.status, order.working_since) == (True, Status.NEW, 0)

    trade(venue, before)
    assert order.is_waiting
    trade(venue, reaches)

    assert (order.status, order.filled, venue.open_orders("ann")) == (Status.FILLED, D(1), [])
    kinds = [e.kind for e in venue.drain() if e.order is order]
    assert kinds == [ExecutionKind.NEW, ExecutionKind.TRIGGERED, ExecutionKind.TRADE]
    assert all(balance.locked == 0 for balance in venue.balances.of("ann").values())


def test_a_stop_that_is_already_reached_is_refused_and_changes_nothing() -> None:
    venue = with_makers()
    trade(venue, "90")

    assert refusal(stop, venue, "ann", "sell", "1", "95") is Refusal.WOULD_TRIGGER
    assert venue.balances.of("ann")["BTC"] == (D(100), D(0))
    assert venue.open_orders("ann") == []


def test_a_triggered_stop_limit_rests_at_its_limit_and_holds_its_coins() -> None:
    venue = with_makers()
    order = stop(venue, "ann", "sell", "1", "95", "94")
    place(venue, "#makers", "buy", "5", "90")
    place(venue, "#takers", "sell", "1", "90")

    assert (order.is_waiting, order.status, order.resting) == (False, Status.NEW, True)
    assert venue.balances.of("ann")["BTC"] == (D(99), D(1))
    venue.cancel("ann", "BTCUSDT", 2, number=order.number)
    assert venue.balances.of("ann")["BTC"] == (D(100), D(0))


def test_one_stop_may_trigger_the_next() -> None:
    venue = with_makers()
    for price in ("95", "90", "85"):
        place(venue, "#makers", "buy", "1", price)
    first = stop(venue, "ann", "sell", "1", "95")
    second = stop(venue, "bob", "sell", "1", "90")

    place(venue, "#takers", "sell", "1", "95")

    assert (first.status, second.status) == (Status.FILLED, Status.FILLED)
    assert (first.spent, second.spent) == (D(90), D(85))


def test_a_waiting_stop_is_cancelled_reduced_and_counted() -> None:
    venue = engine()
    orders = [stop(venue, "ann", "buy", "1", "120") for _ in range(5)]

    assert refusal(stop, venue, "ann", "buy", "1", "120") is Refusal.MAX_NUM_ALGO_ORDERS
    venue.reduce("ann", "BTCUSDT", orders[0].number, D("0.5"), 2)
    assert venue.balances.of("ann")["USDT"].locked == D(540)
    for order in orders:
        venue.cancel("ann", "BTCUSDT", 2, number=order.number)
    assert venue.balances.of("ann")["USDT"] == (D(10_000), D(0))


def test_a_market_stop_that_the_account_can_no_longer_pay_expires() -> None:
    venue = with_makers()
    order = stop(venue, "ann", "buy", "80", "120")
    place(venue, "#makers", "sell", "200", "130")
    place(venue, "#takers", "buy", "1", "130")

    assert (order.status, order.filled) == (Status.EXPIRED, D(0))
    assert venue.balances.of("ann")["USDT"] == (D(10_000), D(0))


def test_fees_are_paid_in_the_chosen_asset_at_a_discount_while_it_lasts() -> None:
    bnb = Market(symbol="BNBUSDT", base="BNB", quote="USDT", tick_size=D(1), step_size=D("0.1"), min_quantity=D("0.1"))
    venue = MatchingEngine([BTC, bnb])
    for account in ("ann", "#makers"):
        for asset in ("USDT", "BTC", "BNB"):
            venue.deposit(account, asset, D(1_000) if asset != "BNB" else D(1))
    venue.pay_fees_in("ann", "BNB")
    totals = {asset: venue.balances.total(asset) for asset in ("BTC", "USDT", "BNB")}
    place(venue, "#makers", "sell", "9", "100")

    place(venue, "ann", "buy", "1", "100")  # nothing has shown yet what BNB is worth
    for account, is_buy in (("#makers", False), ("ann", True)):
        request = NewOrder(
            account=account, symbol="BNBUSDT", is_buy=is_buy, quantity=D("0.5"), price=D(10), client_id="bnb"
        )
        venue.place(request, 1)
    venue.drain()
    place(venue, "ann", "buy", "1", "100")

    paid = [e for e in venue.drain() if e.kind is ExecutionKind.TRADE and not e.is_maker]
    assert [(e.commission, e.commission_asset) for e in paid] == [(D("0.0075"), "BNB")]
    assert venue.balances.of("ann")["BTC"].free == D(1_000) + 2 - D("0.001")
    left = venue.balances.of("ann")["BNB"].free
    venue.deposit("ann", "BNB", -left)
    place(venue, "ann", "buy", "1", "100")
    assert venue.drain()[-2].commission_asset == "BTC"
    totals["BNB"] -= left
    assert {asset: venue.balances.total(asset) for asset in totals} == totals


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "price", "reason"),
    [
        ("0.05", "100", Refusal.LOT_SIZE),
        ("0.15", "100", Refusal.LOT_SIZE),
        ("10000", "100", Refusal.LOT_SIZE),
        ("1", "100.5", Refusal.PRICE_FILTER),
        ("1", "0", Refusal.PRICE_FILTER),
        ("0.1", "9", Refusal.NOTIONAL),
        ("101", "100", Refusal.INSUFFICIENT_BALANCE),
    ],
)
def test_what_breaks_a_filter_or_the_balance_is_refused(quantity: str, price: str, reason: Refusal) -> None:
    assert refusal(place, engine(), "ann", "buy", quantity, price) is reason


def test_a_client_id_may_be_used_again_only_when_its_order_is_done() -> None:
    venue = engine()
    order = place(venue, "ann", "buy", "1", "50", client_id="same")

    assert refusal(place, venue, "ann", "buy", "1", "50", client_id="same") is Refusal.DUPLICATE_CLIENT_ID
    venue.cancel("ann", "BTCUSDT", 2, number=order.number)
    again = place(venue, "ann", "buy", "1", "50", client_id="same")

    assert venue.find("ann", "BTCUSDT", client_id="same") is again


def test_another_accounts_order_cannot_be_seen_or_cancelled() -> None:
    venue = engine()
    order = place(venue, "ann", "buy", "1", "50", client_id="mine")

    assert venue.find("bob", "BTCUSDT", number=order.number) is None
    assert refusal(venue.cancel, "bob", "BTCUSDT", 2, number=order.number) is Refusal.UNKNOWN_ORDER


def test_a_halted_market_takes_no_orders_and_one_that_only_cancels_lets_them_go() -> None:
    venue = engine()
    order = place(venue, "ann", "buy", "1", "50")

    venue.set_status("BTCUSDT", MarketStatus.HALT)
    assert refusal(place, venue, "ann", "buy", "1", "50") is Refusal.MARKET_CLOSED
    assert refusal(venue.cancel, "ann", "BTCUSDT", 2, number=order.number) is Refusal.MARKET_CLOSED

    venue.set_status("BTCUSDT", MarketStatus.CANCEL_ONLY)
    assert refusal(place, venue, "ann", "buy", "1", "50") is Refusal.MARKET_CLOSED
    assert venue.cancel("ann", "BTCUSDT", 3, number=order.number).status is Status.CANCELED


# -- self-trade prevention --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "maker", "taker", "taker_fills"),
    [
        (SelfTrade.NONE, Status.FILLED, Status.PARTIALLY_FILLED, D(1)),
        (SelfTrade.EXPIRE_TAKER, Status.NEW, Status.EXPIRED_IN_MATCH, D(0)),
        (SelfTrade.EXPIRE_MAKER, Status.EXPIRED_IN_MATCH, Status.NEW, D(0)),
        (SelfTrade.EXPIRE_BOTH, Status.EXPIRED_IN_MATCH, Status.EXPIRED_IN_MATCH, D(0)),
        (SelfTrade.DECREMENT, Status.EXPIRED_IN_MATCH, Status.NEW, D(0)),
    ],
)
def test_orders_of_one_account_meet_by_the_takers_mode(
    mode: SelfTrade, maker: Status, taker: Status, taker_fills: Decimal
) -> None:
    venue = engine()
    resting = place(venue, "ann", "sell", "1", "100")

    taking = place(venue, "ann", "buy", "3", "100", self_trade=mode)

    assert (resting.status, taking.status, taking.filled) == (maker, taker, taker_fills)
    if mode is SelfTrade.DECREMENT:
        assert (taking.remaining, taking.prevented) == (D(2), D(1))
    prevented = [e for e in venue.drain() if e.kind is ExecutionKind.TRADE_PREVENTION]
    assert bool(prevented) == (mode is not SelfTrade.NONE)


# -- what is told -----------------------------------------------------------------------------------------------------


def test_each_execution_carries_the_orders_figures_of_its_moment() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")
    place(venue, "ann", "sell", "1", "101")
    venue.drain()

    place(venue, "bob", "buy", "2", "101")

    mine = [e for e in venue.drain() if e.order.account == "bob"]
    assert [e.kind for e in mine] == [ExecutionKind.NEW, ExecutionKind.TRADE, ExecutionKind.TRADE]
    assert [(e.filled, e.spent, e.status) for e in mine[1:]] == [
        (D(1), D(100), Status.PARTIALLY_FILLED),
        (D(2), D(201), Status.FILLED),
    ]
    assert (mine[1].commission, mine[1].commission_asset) == (D("0.001"), "BTC")


def test_changed_levels_are_told_once_with_their_quantity_of_now() -> None:
    venue = engine()
    order = place(venue, "ann", "sell", "1", "100")
    place(venue, "ann", "sell", "2", "100")
    assert venue.take_changed_levels("BTCUSDT") == [(False, D(100), D(3))]

    venue.cancel("ann", "BTCUSDT", 2, number=order.number)
    place(venue, "bob", "buy", "2", "100")

    assert venue.take_changed_levels("BTCUSDT") == [(False, D(100), D(0))]
    assert venue.take_changed_levels("BTCUSDT") == []


def test_a_level_that_empties_and_fills_again_between_two_looks_is_told_once() -> None:
    venue = engine()
    order = place(venue, "ann", "sell", "1", "100")
    venue.cancel("ann", "BTCUSDT", 2, number=order.number)
    place(venue, "bob", "sell", "3", "100")

    assert venue.take_changed_levels("BTCUSDT") == [(False, D(100), D(3))]
    assert venue.depth("BTCUSDT", 5)[1] == [(D(100), D(3))]


def test_a_queue_does_not_grow_with_the_orders_that_left_it() -> None:
    venue = engine()
    first = place(venue, "ann", "sell", "1", "100")
    for _ in range(1_000):
        order = place(venue, "bob", "sell", "1", "100")
        venue.cancel("bob", "BTCUSDT", 2, number=order.number)
    second = place(venue, "bob", "sell", "1", "100")

    assert len(venue._desks["BTCUSDT"].book.asks.levels[D(100)].orders) < 50
    place(venue, "cyd", "buy", "1.5", "100")
    assert (first.filled, second.filled) == (D(1), D("0.5"))


def test_finished_orders_are_forgotten_beyond_what_is_kept() -> None:
    venue = MatchingEngine([BTC], keep=10)
    venue.deposit("ann", "USDT", D(10_000))
    for _ in range(3_000):
        order = place(venue, "ann", "buy", "0.1", "50")
        venue.cancel("ann", "BTCUSDT", 2, number=order.number)

    assert len(venue.orders("ann", "BTCUSDT")) <= 1_010
    assert venue.find("ann", "BTCUSDT", number=order.number) is order


def test_other_traders_do_not_push_the_orders_of_clients_out_of_memory() -> None:
    venue = MatchingEngine([BTC], keep=10)
    venue.deposit("ann", "USDT", D(10_000))
    venue.deposit("#makers", "USDT", D(10_000))
    mine = place(venue, "ann", "buy", "0.1", "50")
    venue.cancel("ann", "BTCUSDT", 2, number=mine.number)
    for _ in range(3_000):
        order = place(venue, "#makers", "buy", "0.1", "50")
        venue.cancel("#makers", "BTCUSDT", 2, number=order.number)

    assert venue.find("ann", "BTCUSDT", number=mine.number) is mine
    assert venue.orders("#makers", "BTCUSDT") == []


# -- invariants -------------------------------------------------------------------------------------------------------

ACCOUNTS = st.sampled_from(["ann", "bob", "cyd"])
STEPS = st.integers(1, 40).map(lambda n: D(n) / 10)
PRICES = st.integers(90, 110).map(D)


class AnyCalls(RuleBasedStateMachine):
    """Whatever is called, money is conserved, locks equal what open orders hold, and the book is whole."""

    @initialize()
    def begin(self) -> None:
        self.venue = engine(maker_fee=D("0.0007"), taker_fee=D("0.0013"))
        self.totals = {asset: self.venue.balances.total(asset) for asset in ("BTC", "USDT")}

    @rule(
        account=ACCOUNTS,
        is_buy=st.booleans(),
        quantity=STEPS,
        price=st.none() | PRICES,
        tif=st.sampled_from(Tif),
        maker=st.booleans(),
        mode=st.sampled_from(SelfTrade),
        by_quote=st.booleans(),
    )
    def place(
        self,
        account: str,
        is_buy: bool,
        quantity: Decimal,
        price: Decimal | None,
        tif: Tif,
        maker: bool,
        mode: SelfTrade,
        by_quote: bool,
    ) -> None:
        sized_in_quote = by_quote and price is None
        request = NewOrder(
            account=account,
            symbol="BTCUSDT",
            is_buy=is_buy,
            type=Type.MARKET if price is None else Type.LIMIT_MAKER if maker else Type.LIMIT,
            quantity=None if sized_in_quote else quantity,
            quote_quantity=quantity * 100 if sized_in_quote else None,
            price=price,
            tif=Tif.GTC if maker else tif,
            client_id=f"c{next(ids)}",
            self_trade=mode,
        )
        try:
            order = self.venue.place(request, 1)
        except OrderRefused:
            return
        if price is not None and order.filled:
            average = order.spent / order.filled
            assert average <= price if is_buy else average >= price

    @rule(
        account=ACCOUNTS,
        is_buy=st.booleans(),
        quantity=STEPS,
        stop_price=PRICES,
        price=st.none() | PRICES,
        takes_profit=st.booleans(),
    )
    def place_stop(
        self,
        account: str,
        is_buy: bool,
        quantity: Decimal,
        stop_price: Decimal,
        price: Decimal | None,
        takes_profit: bool,
    ) -> None:
        name = ("TAKE_PROFIT" if takes_profit else "STOP_LOSS") + ("" if price is None else "_LIMIT")
        request = NewOrder(
            account=account,
            symbol="BTCUSDT",
            is_buy=is_buy,
            type=Type(name),
            quantity=quantity,
            price=price,
            stop_price=stop_price,
            client_id=f"c{next(ids)}",
        )
        try:
            self.venue.place(request, 1)
        except OrderRefused:
            return

    @rule(account=ACCOUNTS, pick=st.integers(0, 20))
    def cancel(self, account: str, pick: int) -> None:
        mine = self.venue.open_orders(account)
        if mine:
            self.venue.cancel(account, "BTCUSDT", 2, number=mine[pick % len(mine)].number)

    @rule(account=ACCOUNTS, pick=st.integers(0, 20), quantity=STEPS)
    def reduce(self, account: str, pick: int, quantity: Decimal) -> None:
        mine = self.venue.open_orders(account)
        if mine:
            try:
                self.venue.reduce(account, "BTCUSDT", mine[pick % len(mine)].number, quantity, 3)
            except OrderRefused:
                return

    @invariant()
    def money_is_conserved(self) -> None:
        for asset, total in getattr(self, "totals", {}).items():
            assert self.venue.balances.total(asset) == total

    @invariant()
    def locks_are_what_open_orders_hold(self) -> None:
        if not hasattr(self, "venue"):
            return
        for account in ("ann", "bob", "cyd"):
            held = {"BTC": D(0), "USDT": D(0)}
            for order in self.venue.open_orders(account):
                price = order.price if order.price is not None else order.stop_price
                assert price is not None
                if order.is_buy:
                    held["USDT"] += price * order.remaining
                else:
                    held["BTC"] += order.remaining
            balances = self.venue.balances.of(account)
            assert {asset: balances[asset].locked for asset in held} == held
            assert all(balance.free >= 0 for balance in balances.values())

    @invariant()
    def the_book_is_the_open_orders_and_never_crosses(self) -> None:
        if not hasattr(self, "venue"):
            return
        bids, asks = self.venue.depth("BTCUSDT", 1_000)
        assert [p for p, _ in bids] == sorted((p for p, _ in bids), reverse=True)
        assert [p for p, _ in asks] == sorted(p for p, _ in asks)
        if bids and asks:
            assert bids[0][0] < asks[0][0]
        quantities: dict[tuple[bool, Decimal], Decimal] = {}
        for account in ("ann", "bob", "cyd"):
            for order in self.venue.open_orders(account):
                assert order.remaining > 0
                if order.is_waiting:
                    continue
                assert order.price is not None
                quantities[order.is_buy, order.price] = (
                    quantities.get((order.is_buy, order.price), D(0)) + order.remaining
                )
        assert quantities == {(True, p): q for p, q in bids} | {(False, p): q for p, q in asks}


AnyCalls.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestAnyCalls = AnyCalls.TestCase
