"""The rate of the exchange's fee coin is reported while the account holds it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from exchange_kit import Scripted, play

from tickdeck.application.ports import ExchangeCapabilities, InstrumentStatus, ListedInstrument
from tickdeck.domain.events import DomainEvent, VenueRateReported
from tickdeck.domain.market import Instrument
from tickdeck.errors import VenueUnavailable
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue


def rates(prices: list[Any], *, seconds: float = 1, **options: Any) -> list[Decimal]:
    exchange = Scripted(price=prices)
    exchange.capabilities = ExchangeCapabilities(fee_currency="BNB")
    listed = Instrument(symbol="BNBUSDT", base="BNB", quote="USDT")
    exchange.listed = (ListedInstrument(instrument=listed, status=InstrumentStatus.TRADING),)

    async def work(venue: ExchangeVenue) -> None:
        await venue.connect(resumed=True)

    given = {"quote": "USDT", "currencies": ("BTC", "USDT"), "books": {"BNB": Decimal(1)}} | options
    events: list[DomainEvent] = play(exchange, work, seconds=seconds, **given)
    return [event.rate for event in events if isinstance(event, VenueRateReported)]


def test_its_rate_is_reported_at_once_and_then_each_minute() -> None:
    assert rates([Decimal(500), Decimal(510), Decimal(520)], seconds=121) == [500, 510, 520]


def test_an_exchange_that_does_not_answer_is_asked_again() -> None:
    assert rates([VenueUnavailable("down"), Decimal(0), Decimal(510)], seconds=30) == [510]


@pytest.mark.parametrize(
    "options", [{"books": {}}, {"books": {"BNB": Decimal(0)}}, {"currencies": ("BNB", "USDT")}, {"quote": "EUR"}]
)
def test_a_coin_that_is_not_held_or_has_a_price_in_the_market_data_is_not_reported(options: dict[str, Any]) -> None:
    assert rates([Decimal(500)], seconds=121, **options) == []
