"""Events as JSON and as dicts, and the errors of a wrong one."""

from __future__ import annotations

import msgspec
import pytest
from event_values import TRADE, events_of, every_money_field, every_type, few, sample
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.events import (
    DomainEvent,
    SignalSnapshotEvent,
    TradeEvent,
    decode_payload,
    encode_payload,
    event_from_dict,
    event_from_json,
)
from tickdeck.errors import EventDecodeError


@every_type
@few
@given(data=st.data())
def test_json_round_trips_to_an_equal_event_of_the_same_class(cls: type[DomainEvent], data: st.DataObject) -> None:
    event = data.draw(events_of(cls))
    back = event_from_json(event.to_json())
    assert type(back) is cls
    assert back == event


@every_type
@few
@given(data=st.data())
def test_an_event_and_its_decoded_twin_encode_to_the_same_bytes(cls: type[DomainEvent], data: st.DataObject) -> None:
    event = data.draw(events_of(cls))
    payload = encode_payload(event)
    assert encode_payload(decode_payload(cls.event_type, payload, cls.version)) == payload
    assert event_from_json(event.to_json()).to_json() == event.to_json()


@every_type
@few
@given(data=st.data())
def test_a_dict_round_trips_to_an_equal_event(cls: type[DomainEvent], data: st.DataObject) -> None:
    event = data.draw(events_of(cls))
    as_dict = event.to_dict()
    assert event_from_dict(as_dict) == event
    assert event_from_dict(msgspec.json.decode(msgspec.json.encode(as_dict))) == event


@every_type
def test_a_dict_has_type_version_envelope_and_own_fields(cls: type[DomainEvent]) -> None:
    event = sample(cls)
    as_dict = event.to_dict()
    assert as_dict["event_type"] == cls.event_type
    assert as_dict["version"] == cls.version
    assert as_dict["aggregate_id"] == event.aggregate_id
    envelope = {"seq", "event_id", "ts", "ts_ingress", "correlation_id", "causation_id", "source", "metadata"}
    assert envelope <= set(as_dict)
    assert set(cls.__struct_fields__) <= set(as_dict)
    assert event.payload.items() <= as_dict.items()
    assert not envelope & set(event.payload)


def test_digits_of_money_are_kept() -> None:
    back = event_from_json(TRADE.to_json())
    assert isinstance(back, TradeEvent)
    assert (str(back.price), str(back.quantity)) == ("61000.10", "0.50")


@pytest.mark.parametrize(
    ("json", "said"),
    [
        (b"nonsense", "event: "),
        (b"[]", "event: "),
        (b'{"symbol": "B"}', "event_type"),
        (b'{"event_type": "market.trade", "symbol": 5}', "market.trade: symbol is 5; "),
        (b'{"event_type": "market.trade", "symbol": "B"}', "market.trade: Object missing required field `price`"),
        (
            b'{"event_type": "market.trade", "symbol": "B", "price": "x", "quantity": "1", "side": "buy"}',
            "market.trade: price is 'x'; ",
        ),
        (
            b'{"event_type": "market.trade", "symbol": "B", "price": "NaN", "quantity": "1", "side": "buy"}',
            "market.trade: price is NaN; it must be ",
        ),
        (
            b'{"event_type": "market.trade", "symbol": "B", "price": "1", "quantity": "1", "side": "hold"}',
            "market.trade: side is 'hold'; ",
        ),
        (
            b'{"event_type": "market.book", "symbol": "B", "last_update_id": 1, "bids": [["1", "x"]], "asks": []}',
            "market.book: bids[0][1] is 'x'; ",
        ),
        (b'{"event_type": "gazette.printed", "headline": 1, "bounty": "1"}', "gazette.printed: headline is 1; "),
    ],
)
def test_invalid_bytes_are_refused_with_event_field_and_value(json: bytes, said: str) -> None:
    with pytest.raises(EventDecodeError) as refused:
        event_from_json(json)
    message = str(refused.value)
    assert said in message
    assert "\n" not in message
    assert message.count("market.trade: ") <= 1


@pytest.mark.long
@every_money_field
def test_a_float_in_json_is_not_money(cls: type[DomainEvent], field: str) -> None:
    as_dict = sample(cls).to_dict() | {field: 1.5}
    for decode, data in ((event_from_dict, as_dict), (event_from_json, msgspec.json.encode(as_dict))):
        with pytest.raises(EventDecodeError, match=rf"^{cls.event_type}: {field} is 1\.5; it must be a decimal"):
            decode(data)


@pytest.mark.parametrize(
    ("json", "path"),
    [
        (b'{"event_type": "market.book", "symbol": "B", "last_update_id": 1, "bids": [["1", 2.5]]}', "bids[0][1]"),
        (b'{"event_type": "risk.approved", "strategy_id": "s", "intent": {"quantity": 2.5}}', "intent.quantity"),
        (b'{"event_type": "strategy.decision", "intents": [{"quantity": 2.5}]}', "intents[0].quantity"),
    ],
)
def test_a_float_is_not_money_however_deep_it_is(json: bytes, path: str) -> None:
    with pytest.raises(EventDecodeError) as refused:
        event_from_json(json)
    assert f": {path} is 2.5; it must be a decimal" in str(refused.value)


def test_a_float_is_accepted_in_fields_without_money() -> None:
    event = SignalSnapshotEvent(symbol="B", values={"ema-12": 1.5})
    assert event_from_json(event.to_json()) == event
