"""Subscriptions that can never match cause a warning with a suggestion."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from application_kit import Ping

from tickdeck.application.bus import EventFilter, InMemoryEventBus
from tickdeck.domain.events import DomainEvent, OrderCancelledEvent, close_catalogue, registry
from tickdeck.errors import EventValidationError, TopicWarning


@pytest.fixture
def closed() -> Iterator[None]:
    close_catalogue()
    yield
    registry._closed.clear()


@pytest.mark.parametrize(
    ("topic", "meant"),
    [
        ("order.filed", "'order.filled'"),
        ("order.fill", "'order.filled'"),
        ("ORDER.FILLED ", "'order.filled'"),
        ("Order.*", "'order.*'"),
        ("ordr.*", "'order.*'"),
        ("order", "'order.*'"),
        ("order_filled", "'order.filled'"),
        ("order:filled", "'order.filled'"),
        ("OrderFilledEvent", "'order.filled'"),
        ("OrderFilled", "'order.filled'"),
        ("market.trades", "'market.trade'"),
        ("no type!", "events --catalogue"),
        ("order.", "events --catalogue"),
        (".filled", "events --catalogue"),
        ("order..filled", "'order.filled'"),
    ],
)
def test_a_subscription_that_cannot_match_warns_with_a_suggestion(topic: str, meant: str) -> None:
    with pytest.warns(TopicWarning) as caught:
        InMemoryEventBus().subscribe(topic, lambda event: None)

    (warning,) = caught
    assert repr(topic) in str(warning.message)
    assert meant in str(warning.message)
    assert Path(warning.filename) == Path(__file__)


@pytest.mark.parametrize("topic", ["*", "order.*", "order.filled", "*.filled", "*fill*", "news.*", "news.published"])
def test_a_topic_that_may_match_later_does_not_warn(topic: str) -> None:
    with warnings.catch_warnings(action="error"):
        InMemoryEventBus().subscribe(topic, lambda event: None)


def test_an_unknown_type_warns_when_the_catalogue_is_closed(closed: None) -> None:
    with pytest.warns(TopicWarning, match="the catalogue is closed"):
        InMemoryEventBus().subscribe("news.published", lambda event: None)


def test_a_class_defined_after_the_catalogue_was_closed_is_refused(closed: None) -> None:
    with pytest.raises(EventValidationError, match=r"'topics\.late' is defined after close_catalogue"):

        class Late(DomainEvent, frozen=True, kw_only=True):
            event_type: ClassVar[str] = "topics.late"


def test_a_decorator_and_a_filter_warn_as_subscribe_does() -> None:
    with pytest.warns(TopicWarning, match=r"order\.filled") as caught:

        @InMemoryEventBus().on("order.filed")
        def hear(event: DomainEvent) -> None: ...

    assert Path(caught[0].filename) == Path(__file__)
    with pytest.warns(TopicWarning, match=r"EventFilter: 'order\.filed'"):
        EventFilter("order.filed")


def test_order_canceled_means_order_cancelled() -> None:
    bus, heard = InMemoryEventBus(), list[str]()
    bus.subscribe("order.canceled", lambda event: heard.append("type"))
    bus.subscribe("*", lambda event: heard.append("filter"), where=EventFilter("order.canceled"))

    bus.publish_all([OrderCancelledEvent(order_id="td1", symbol="BTCUSDT"), Ping()])

    assert heard == ["type", "filter"]
