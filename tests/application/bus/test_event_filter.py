"""Filters of subscriptions, and handlers that are subscribed by a decorator."""

from __future__ import annotations

import pytest
from bus_kit import Note, tick, trade

from tickdeck import (
    ConfigError,
    DomainEvent,
    EventFilter,
    InMemoryEventBus,
)


def test_filters_combine_and_reject_what_any_condition_rejects() -> None:
    btc, ticks = EventFilter(symbols=("BTCUSDT",)), EventFilter("market.tick")
    large = EventFilter(where=lambda e: getattr(e, "trade_id", 0) > 5)

    assert btc(trade())
    assert not btc(trade("ETHUSDT"))
    assert [(btc & ~ticks)(e) for e in (trade(), tick("1"))] == [True, False]
    assert [(ticks | large)(e) for e in (trade(trade_id=6), trade(), tick("1"))] == [True, False, True]
    assert EventFilter(sources=("binance",))(trade()) is False
    assert EventFilter()(Note()) is True


def test_a_filter_narrows_a_subscription() -> None:
    bus, heard = InMemoryEventBus(), list[DomainEvent]()
    bus.subscribe("market.*", heard.append, where=EventFilter("*.trade") & EventFilter(symbols=("ETHUSDT",)))

    bus.publish_all([trade(), trade("ETHUSDT"), tick("1", "ETHUSDT")])

    assert [e.event_type for e in heard] == ["market.trade"]


def test_a_decorated_function_is_subscribed_and_unchanged() -> None:
    bus, heard = InMemoryEventBus(), list[int]()

    @bus.on(Note, priority=3)
    def note(event: Note) -> None:
        heard.append(event.n)

    bus.publish(Note(n=7))
    note(Note(n=8))
    assert heard == [7, 8]


@pytest.mark.parametrize("field", ["symbols", "sources"])
def test_a_filter_refuses_a_single_name_instead_of_a_tuple(field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} is 'BTCUSDT', a single name; give a tuple"):
        EventFilter(**{field: "BTCUSDT"})
