"""An event checks the values of its fields when it is made; money is a finite ``Decimal``."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from event_values import MONEY, ORDER, GazetteEvent, every_money_field, sample

from tickdeck.domain.events import (
    ActionIntent,
    CandleEvent,
    DomainEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    OrderFilledEvent,
    OrderSubmittedEvent,
    StrategyDecisionEvent,
    TickEvent,
    TradeEvent,
    VenueFillReported,
)
from tickdeck.domain.values import OrderType, Side
from tickdeck.errors import EventValidationError, format_value


def test_there_are_money_fields_to_check() -> None:
    assert (OrderFilledEvent, "fee") in MONEY
    assert (GazetteEvent, "fee") in MONEY
    assert len(MONEY) > 30


@pytest.mark.long
@every_money_field
@pytest.mark.parametrize("wrong", [1.5, 1, "1.5", Decimal("NaN"), Decimal("Infinity")], ids=repr)
def test_only_a_finite_decimal_is_money(cls: type[DomainEvent], field: str, wrong: object) -> None:
    fields = msgspec.structs.asdict(sample(cls)) | {field: wrong}
    with pytest.raises(EventValidationError) as refused:
        cls(**fields)
    message = str(refused.value)
    assert message.startswith(f"{cls.event_type}: {field} is {format_value(wrong)}; it must be ")
    assert "\n" not in message


@pytest.mark.parametrize("cls", [OrderBookEvent, OrderBookDeltaEvent])
@pytest.mark.parametrize("side", ["bids", "asks"])
@pytest.mark.parametrize(
    "wrong",
    [
        ((1.5, Decimal(1)),),
        ((Decimal(1), 1.5),),
        ((Decimal("NaN"), Decimal(1)),),
        ((Decimal(1), Decimal("Infinity")),),
        ((Decimal(0), Decimal(1)),),
        ((Decimal(1), Decimal(-1)),),
        ((Decimal(1),),),
        "levels",
        {"1": "1"},
    ],
    ids=repr,
)
def test_invalid_levels_are_refused(cls: type[DomainEvent], side: str, wrong: object) -> None:
    fields = msgspec.structs.asdict(sample(cls)) | {side: wrong}
    with pytest.raises(EventValidationError, match=rf"^{cls.event_type}: {side}\S* is .*; it must be "):
        cls(**fields)


@pytest.mark.parametrize("cls", [OrderBookEvent, OrderBookDeltaEvent])
@pytest.mark.parametrize(("field", "wrong"), [("symbol", 5), ("last_update_id", "7"), ("ts", 1.5), ("ts_ingress", 1.5)])
def test_a_book_checks_its_plain_fields_too(cls: type[DomainEvent], field: str, wrong: object) -> None:
    fields = msgspec.structs.asdict(sample(cls)) | {field: wrong}
    with pytest.raises(EventValidationError, match=rf"^{cls.event_type}: {field} is "):
        cls(**fields)


@pytest.mark.parametrize("field", ["quantity", "limit"])
@pytest.mark.parametrize("wrong", [1.5, 1, "1.5", Decimal("NaN")], ids=repr)
def test_an_intent_takes_only_finite_decimals(field: str, wrong: object) -> None:
    with pytest.raises(EventValidationError, match=f"^action intent: {field} is "):
        ActionIntent(action="order", symbol="BTCUSDT", side=Side.BUY, **{field: wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cls", "field", "wrong"),
    [
        (TradeEvent, "price", Decimal(0)),
        (TradeEvent, "quantity", Decimal(-1)),
        (TickEvent, "bid_price", Decimal(-1)),
        (OrderBookDeltaEvent, "last_update_id", 6),
        (CandleEvent, "interval", 0),
        (CandleEvent, "open", Decimal(0)),
        (CandleEvent, "volume", Decimal(-1)),
        (CandleEvent, "high", Decimal(1)),
        (OrderSubmittedEvent, "quantity", Decimal(0)),
        (OrderSubmittedEvent, "limit", Decimal(0)),
        (OrderFilledEvent, "price", Decimal(0)),
        (OrderFilledEvent, "quantity", Decimal(0)),
        (OrderFilledEvent, "liquidity", "giver"),
        (VenueFillReported, "price", Decimal(0)),
        (VenueFillReported, "quantity", Decimal(0)),
        (VenueFillReported, "liquidity", "giver"),
        (StrategyDecisionEvent, "intents", (ActionIntent(action="dance", symbol="B"),)),
        (StrategyDecisionEvent, "intents", (ActionIntent(action="cancel", symbol="B"),)),
        (StrategyDecisionEvent, "intents", (ActionIntent(action="order", symbol="B", quantity=Decimal(1)),)),
        (StrategyDecisionEvent, "intents", (ActionIntent(action="order", symbol="B", side=Side.BUY),)),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_event_field_and_value(
    cls: type[DomainEvent], field: str, wrong: object
) -> None:
    fields = msgspec.structs.asdict(sample(cls)) | {field: wrong}
    with pytest.raises(EventValidationError) as refused:
        cls(**fields)
    assert str(refused.value).startswith(f"{cls.event_type}: {field} is {format_value(wrong)}; it must be ")


def test_the_order_type_follows_from_the_limit() -> None:
    market = OrderSubmittedEvent(order_id="1", symbol="B", side=Side.BUY, quantity=Decimal(1))
    limit = msgspec.structs.replace(market, limit=Decimal(5))
    assert (market.order_type, limit.order_type) == (OrderType.MARKET, OrderType.LIMIT)
    assert ORDER.order_type is OrderType.MARKET
