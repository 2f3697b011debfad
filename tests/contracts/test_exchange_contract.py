"""Each exchange satisfies the contract in ``tickdeck.testing``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from paper_kit import BTC

from tickdeck.domain.events import OrderBookEvent
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.binance.wire import HmacKey, endpoints_at
from tickdeck.infrastructure.exchanges.paper.config import PaperConfig
from tickdeck.infrastructure.exchanges.paper.exchange import PaperExchange
from tickdeck.infrastructure.venue import running_venue
from tickdeck.testing import ExchangeContract, TradingPlace

D = Decimal


class TestPaperExchange(ExchangeContract):
    @asynccontextmanager
    async def open(self) -> AsyncIterator[TradingPlace]:
        exchange = PaperExchange({"BTCUSDT": BTC}, config=PaperConfig(balances={"USDT": D(10_000)}), now=10**18)
        exchange.on_market(
            OrderBookEvent(
                symbol="BTCUSDT",
                last_update_id=1,
                bids=((D(99), D(50)),),
                asks=((D(101), D(50)),),
                ts=10**18,
                ts_ingress=10**18 + 1,
            )
        )
        yield TradingPlace(exchange=exchange, symbol="BTCUSDT", quantity=D(1), resting=D(90), taking=D(102))


class TestPaperMarginExchange(ExchangeContract):
    """A paper account with a leverage of 5."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[TradingPlace]:
        config = PaperConfig(balances={"USDT": D(2_000)}, leverage=D(5), maintenance=D("0.05"), margin_call=D(2))
        exchange = PaperExchange({"BTCUSDT": BTC}, config=config, now=10**18)

        def quote(bid: int, update: int) -> None:
            ts = exchange.now + 10**9
            bids, asks = ((D(bid), D(50)),), ((D(bid + 2), D(50)),)
            exchange.on_market(
                OrderBookEvent(symbol="BTCUSDT", last_update_id=update, bids=bids, asks=asks, ts=ts, ts_ingress=ts)
            )

        async def crash() -> None:
            for update, bid in enumerate((88, 70, 70), start=2):
                quote(bid, update)

        quote(99, 1)
        yield TradingPlace(
            exchange=exchange, symbol="BTCUSDT", quantity=D(1), resting=D(90), taking=D(102), crash=crash
        )


class TestBinanceExchange(ExchangeContract):
    """The adapter over real sockets, against the venue on localhost."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[TradingPlace]:
        async with running_venue(deposits={"USDT": D(500_000), "BTC": D(5)}) as venue:
            for is_bid, price in ((True, D(49_000)), (False, D(51_000))):
                venue.traders.quote("BTCUSDT", is_bid, price, D(5), venue.venue.now())
            exchange = BinanceExchange(HmacKey(venue.key, venue.secret), endpoints=endpoints_at(venue.url))
            yield TradingPlace(
                exchange=exchange,
                symbol="BTCUSDT",
                quantity=D("0.1"),
                resting=D(45_000),
                taking=D(52_000),
                unaffordable=D(1_000),
            )
