"""Events cannot be changed, compare by value, and know their stream, their cause and their time."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from event_values import ORDER, TRADE, events_of, every_type, few, sample
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    StateUpdated,
    StrategyDecisionEvent,
    StrategyEvent,
    TimerFired,
    TradeEvent,
    TriggerEvent,
)
from tickdeck.domain.values import Side


@every_type
def test_no_field_of_an_event_can_be_changed(cls: type[DomainEvent]) -> None:
    event = sample(cls)
    for field in cls.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(event, field, getattr(event, field))


@pytest.mark.long
@every_type
@few
@given(data=st.data())
def test_no_container_within_an_event_can_be_changed(cls: type[DomainEvent], data: st.DataObject) -> None:
    event = data.draw(events_of(cls))
    for field in cls.__struct_fields__:
        value = getattr(event, field)
        assert not isinstance(value, list | set)
        if isinstance(value, dict):
            with pytest.raises(TypeError, match="immutable"):
                value["planted"] = "x"


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(a="y"),
        lambda m: m.pop("a"),
        lambda m: m.popitem(),
        lambda m: m.clear(),
        lambda m: m.setdefault("b", "y"),
        lambda m: m.__delitem__("a"),
        lambda m: m.__ior__({"b": "y"}),
    ],
)
def test_metadata_cannot_be_changed(change: Any) -> None:
    event = TimerFired(timer_id=1, name="t", due=5, metadata={"a": "x"})
    with pytest.raises(TypeError, match="immutable"):
        change(event.metadata)
    assert event.metadata == {"a": "x"}


def test_metadata_is_a_copy_of_the_given_dict() -> None:
    given_to = {"a": "x"}
    event = CommandReceived(command="halt", metadata=given_to)
    given_to["a"] = "y"
    assert event.metadata == {"a": "x"}


def test_lists_given_to_an_event_become_tuples() -> None:
    event = StrategyDecisionEvent(strategy_id="s", intents=[ORDER])  # type: ignore[arg-type]
    assert event.intents == (ORDER,)


def test_events_with_equal_fields_are_equal_and_hash_alike() -> None:
    again = TradeEvent(symbol="BTCUSDT", price=Decimal("61000.1"), quantity=Decimal("0.5"), side=Side.SELL, trade_id=7)
    assert again == TRADE
    assert hash(again) == hash(TRADE)
    metadata = {"a": "x", "b": "y"}
    backwards = dict(reversed(metadata.items()))
    assert hash(TimerFired(timer_id=1, name="t", due=5, metadata=metadata)) == hash(
        TimerFired(timer_id=1, name="t", due=5, metadata=backwards)
    )


# -- the rest of the envelope -----------------------------------------------------------------------------------------


def test_occurred_at_is_ts_in_utc_cut_to_microseconds() -> None:
    event = TimerFired(timer_id=1, name="t", due=5, ts=1_723_075_200_123_456_789)
    assert event.occurred_at == datetime(2024, 8, 8, 0, 0, 0, 123456, tzinfo=UTC)
    assert event.to_dict()["occurred_at"] == "2024-08-08T00:00:00.123456+00:00"


def test_the_id_distinguishes_inputs_from_derived_events() -> None:
    assert TimerFired(timer_id=1, name="t", due=5, event_id="17").is_input
    assert not TimerFired(timer_id=1, name="t", due=5, event_id="17-2-1").is_input


def _account(event: DomainEvent) -> str:
    account: str = getattr(event, "account_id")  # noqa: B009 -- the static type does not know it
    return account


@every_type
def test_streams_belong_to_an_account_or_to_a_strategy(cls: type[DomainEvent]) -> None:
    event = sample(cls)
    if event.stream is None:
        assert not cls.event_type.startswith(("order.", "position.", "balance."))
    else:
        # The state of a strategy has a stream of its own; a portfolio is in the stream of its account.
        owner = (
            event.aggregate_id
            if isinstance(event, StrategyEvent | StateUpdated | TriggerEvent)
            else f"{_account(event)}/"
        )
        assert f"/{owner}" in f"{event.stream}/"
        assert not event.is_market_data
