"""The market maker at the paper venue: an amend loses its place in the queue."""

from __future__ import annotations

from decimal import Decimal

from application_kit import BITCOIN, BTC, MS, SECOND, Core

from tickdeck.application.engines import VenueGateway
from tickdeck.application.strategies import MarketMaker
from tickdeck.domain.events import OrderBookEvent, OrderFilledEvent, TickEvent, TradeEvent
from tickdeck.domain.values import Side
from tickdeck.infrastructure.exchanges.paper import PaperVenue
from tickdeck.infrastructure.exchanges.paper.venue import PaperConfig

D = Decimal


class Market:
    """A market maker that bids for 0.1 at 99, where 3 are displayed, at a paper venue."""

    def __init__(self) -> None:
        settings = {"tick": "0.5", "half_spread": 2, "size": "0.1", "max_inventory": 1, "threshold": 2, "pause_ms": 100}
        maker = MarketMaker(**settings)
        self.core = Core({"mm": maker})
        kernel = self.core.kernel
        self.venue = PaperVenue(
            config=PaperConfig(jitter_ns=0),
            instruments={BTC: BITCOIN},
            seed=1,
            schedule=self.core.agenda.at,
            report=kernel.post,
        )
        VenueGateway(kernel, self.venue)
        self.core.start()
        self._take(
            OrderBookEvent(
                symbol=BTC,
                last_update_id=1,
                bids=((D(99), D(3)), (D(98), D(9))),
                asks=((D(101), D(3)), (D(102), D(9))),
                ts_ingress=self.core.now + SECOND,
            )
        )

    def _take(self, event: OrderBookEvent | TickEvent | TradeEvent) -> None:
        core = self.core
        while (entry := core.agenda.pop(event.ts_ingress)) is not None:
            entry[1]()
            core.kernel.run_pending()
        self.venue.on_market(event)
        core.kernel.feed(event)

    def shows(self, bid: str, ask: str, update_id: int) -> None:
        self._take(
            TickEvent(
                symbol=BTC,
                bid_price=D(bid),
                bid_quantity=D(3),
                ask_price=D(ask),
                ask_quantity=D(3),
                update_id=update_id,
                ts_ingress=self.core.now + 200 * MS,
            )
        )

    def sells(self, quantity: str, price: str = "99") -> None:
        self._take(
            TradeEvent(
                symbol=BTC, price=D(price), quantity=D(quantity), side=Side.SELL, ts_ingress=self.core.now + 200 * MS
            )
        )

    def filled(self) -> list[tuple[str, str, str]]:
        self.shows("99", "101", 99)  # so that the venue's last reports arrive
        fills = (e for e in self.core.tape.events if isinstance(e, OrderFilledEvent))
        return [(e.side.value, str(e.price), e.liquidity) for e in fills]


def test_a_trade_that_consumes_the_queue_ahead_fills_an_unchanged_quote() -> None:
    market = Market()
    market.sells("2")
    assert market.filled() == []

    market.sells("1.1")

    assert market.filled() == [("buy", "99", "maker")]


def test_the_same_trades_do_not_fill_a_quote_that_was_amended_in_between() -> None:
    market = Market()
    market.sells("2")
    market.shows("101", "103", 2)  # the market moves away, the quote follows ...
    market.shows("99", "101", 3)  # ... and comes back: to the end of the queue
    market.shows("99", "101", 4)
    assert [e.payload["limit"] for e in market.core.of("order.amended")] == ["101.00", "99.00"]

    market.sells("1.1")

    assert market.filled() == []
    assert market.core.execution.open_orders("mm")


def test_it_is_filled_once_the_new_queue_is_consumed_too() -> None:
    market = Market()
    market.sells("2")
    market.shows("101", "103", 2)
    market.shows("99", "101", 3)
    market.shows("99", "101", 4)

    market.sells("3.1")

    assert market.filled() == [("buy", "99", "maker")]
