"""The venue's matching engine under any sequence of calls."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from matching_engine_kit import D, engine, ids

from tickdeck.infrastructure.venue.matching import (
    NewOrder,
    OrderRefused,
    SelfTrade,
    Tif,
    Type,
)

ACCOUNTS = st.sampled_from(["ann", "bob", "cyd"])
STEPS = st.integers(1, 40).map(lambda n: D(n) / 10)
PRICES = st.integers(90, 110).map(D)


class AnyCalls(RuleBasedStateMachine):
    """For any sequence of calls, money is conserved, locks equal what open orders hold, and the book is consistent."""

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

    @rule(
        account=ACCOUNTS,
        is_buy=st.booleans(),
        quantity=STEPS,
        aim=PRICES,
        stop=PRICES,
        stop_limit=st.none() | PRICES,
        kind=st.sampled_from([Type.LIMIT_MAKER, Type.TAKE_PROFIT, Type.TAKE_PROFIT_LIMIT]),
    )
    def place_list(
        self,
        account: str,
        is_buy: bool,
        quantity: Decimal,
        aim: Decimal,
        stop: Decimal,
        stop_limit: Decimal | None,
        kind: Type,
    ) -> None:
        def order(kind: Type, price: Decimal | None, stop_price: Decimal | None) -> NewOrder:
            return NewOrder(
                account=account,
                symbol="BTCUSDT",
                is_buy=is_buy,
                type=kind,
                quantity=quantity,
                price=price,
                stop_price=stop_price,
                client_id=f"c{next(ids)}",
                self_trade=SelfTrade.DECREMENT,
            )

        first = order(kind, None if kind is Type.TAKE_PROFIT else aim, None if kind is Type.LIMIT_MAKER else aim)
        second = order(Type.STOP_LOSS if stop_limit is None else Type.STOP_LOSS_LIMIT, stop_limit, stop)
        try:
            self.venue.place_list((first, second), f"l{next(ids)}", 4)
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
                if not order.holds:
                    continue
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
    def of_each_list_both_orders_are_open_and_one_holds_or_at_most_one_is_open(self) -> None:
        if not hasattr(self, "venue"):
            return
        for found in self.venue.lists.by_number.values():
            legs = self.venue.lists.legs(found)
            assert len({leg.quantity for leg in legs}) == 1 or not found.paired
            assert sum(leg.working for leg in legs) == (2 if found.paired else 0 if found.done else 1)
            assert sum(leg.working and leg.holds for leg in legs) == (0 if found.done else 1)
            if found.paired:
                assert [leg.filled for leg in legs] == [0, 0]

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
