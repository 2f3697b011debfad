"""Creating exchanges from an entry of the configuration."""

from __future__ import annotations

import pytest

from tickdeck.application.ports import Exchange
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exchanges.factory import ExchangeFactory

ENTRY = {"exchange": "binance", "credentials": "env:BINANCE", "url": "http://127.0.0.1:8080"}
KEYS = {"BINANCE_API_KEY": "the-key", "BINANCE_API_SECRET": "the-secret"}


def test_an_entry_makes_its_exchange() -> None:
    exchange: Exchange = ExchangeFactory.create_exchange("main", ENTRY, environment=KEYS)

    assert exchange.name == "binance"
    assert exchange.capabilities.order_pairs
    assert "the-" not in repr(vars(exchange))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exchange": "binanse"}, "exchange is 'binanse'; give one of binance"),
        ({"api_secret": "the-secret"}, "unknown field `api_secret`"),
        ({"credentials": "the-secret"}, "must be 'env:PREFIX'"),
        ({"url": "localhost"}, "give one such as http:"),
    ],
)
def test_an_entry_that_is_wrong_is_refused_in_one_line(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ExchangeFactory.create_exchange("main", {**ENTRY, **changes}, environment=KEYS)
    assert "\n" not in str(caught.value)
    assert "the-secret" not in str(caught.value)
