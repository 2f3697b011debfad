"""Every registered event type, and a user's own, under the same rules; the cases are made from the registry."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickdeck.domain.events import (
    ActionIntent,
    CandleEvent,
    CommandReceived,
    DomainEvent,
    OrderAmendRequestedEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    OrderFilledEvent,
    OrderSubmittedEvent,
    RawEvent,
    SignalSnapshotEvent,
    StateLeg,
    StateUpdated,
    StrategyDecisionEvent,
    StrategyEvent,
    TickEvent,
    TimerFired,
    TradeEvent,
    VenueFillReported,
    decode_payload,
    encode_payload,
    event_class,
    event_from_dict,
    event_from_json,
    event_types,
    iter_event_classes,
)
from tickdeck.domain.values import OrderType, Side
from tickdeck.errors import EventDecodeError, EventValidationError, format_value


class GazetteEvent(DomainEvent, frozen=True, kw_only=True):
    """A type of a user's own, with each kind of field."""

    event_type: ClassVar[str] = "gazette.printed"
    headline: str
    bounty: Decimal
    fee: Decimal | None = None
    tags: tuple[str, ...] = ()
    scores: dict[str, float] = {}


# Other tests define types of their own, which are none of our business here.
CLASSES = [cls for cls in iter_event_classes() if cls.__module__.startswith("tickdeck.")] + [GazetteEvent]
every_type = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.event_type)

# -- instances of any type, made from its annotations -----------------------------------------------------------------

positive = st.integers(1, 10**14).map(lambda n: Decimal(n).scaleb(-8))
whole = st.integers(0, 2**62)
text = st.text(max_size=8)
names = st.text(min_size=1, max_size=8)
few = settings(max_examples=max(5, settings().max_examples // 8))  # there are many types


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Decimal:
        return positive
    if hint is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if hint is bool:
        return st.booleans()
    if hint is StateLeg:
        return st.builds(StateLeg, symbol=names, quantity=positive, average_price=st.none() | positive)
    if hint in (int, str):
        return {int: whole, str: text}[hint]
    if hint is Any:
        return text | whole
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    if hint is ActionIntent:
        return intents()
    if origin in (Union, UnionType):
        return st.one_of(*(st.none() if one is type(None) else values_of(one) for one in inner))
    if origin is tuple and inner[-1] is Ellipsis:
        return st.lists(values_of(inner[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, inner))
    if origin is dict:
        return st.dictionaries(values_of(inner[0]), values_of(inner[1]), max_size=3)
    raise NotImplementedError(f"no values for {hint}: say here how to make them")


def intents() -> st.SearchStrategy[ActionIntent]:
    orders = st.builds(
        ActionIntent,
        action=st.just("order"),
        symbol=names,
        side=st.sampled_from(Side),
        quantity=positive,
        limit=st.none() | positive,
    )
    cancels = st.builds(ActionIntent, action=st.just("cancel"), symbol=names, order_id=st.text(min_size=1, max_size=8))
    amends = st.builds(
        ActionIntent,
        action=st.just("amend"),
        symbol=names,
        order_id=st.text(min_size=1, max_size=8),
        quantity=positive,
        limit=st.none() | positive,
    )
    return orders | cancels | amends


@st.composite
def events_of(draw: st.DrawFn, cls: type[DomainEvent]) -> DomainEvent:
    hints = get_type_hints(cls)
    fields = {name: draw(values_of(hints[name])) for name in cls.__struct_fields__}
    fields |= {
        name: draw(names) for name in ("symbol", "order_id", "strategy_id", "account_id", "currency") if name in fields
    }
    # What the types alone do not say:
    if "liquidity" in fields:
        fields["liquidity"] = draw(st.sampled_from(["maker", "taker"]))
    if "severity" in fields:
        fields["severity"] = draw(st.sampled_from(["info", "warning", "critical"]))
    if cls is StateUpdated:
        fields["kind"] = draw(st.sampled_from(["strategy", "portfolio"]))
    if cls is OrderAmendRequestedEvent:
        fields["revision"] = draw(st.integers(1, 9))
    if cls is OrderBookDeltaEvent:
        fields["last_update_id"] = fields["first_update_id"] + draw(st.integers(0, 9))
    if cls is CandleEvent:
        low, one, other, high = sorted(draw(st.tuples(positive, positive, positive, positive)))
        fields |= {"interval": draw(st.integers(1, 10**12)), "low": low, "open": one, "close": other, "high": high}
    return cls(**fields)


def money_fields(cls: type[DomainEvent]) -> list[str]:
    hints = get_type_hints(cls)
    return [f for f in cls.__struct_fields__ if hints[f] is Decimal or Decimal in get_args(hints[f])]


def sample(cls: type[DomainEvent]) -> DomainEvent:
    """One instance, always the same."""
    known: dict[Any, Any] = {
        Decimal: Decimal("1.50"),
        int: 7,
        float: 0.5,
        str: "x",
        ActionIntent: ORDER,
        Side: Side.BUY,
    }
    hints = get_type_hints(cls)
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(cls):
        hint = hints[field.name]
        if field.required:
            fields[field.name] = {tuple: (), dict: {}}.get(get_origin(hint), known.get(hint))
            if fields[field.name] is None:
                fields[field.name] = next(iter(hint))
    if cls is StateUpdated:
        fields["kind"] = "portfolio"
    return cls(**fields)


ORDER = ActionIntent(action="order", symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(1))
TRADE = TradeEvent(symbol="BTCUSDT", price=Decimal("61000.10"), quantity=Decimal("0.50"), side=Side.SELL, trade_id=7)

MONEY = [(cls, field) for cls in CLASSES for field in money_fields(cls)]
every_money_field = pytest.mark.parametrize(
    ("cls", "field"), MONEY, ids=[f"{cls.event_type}-{field}" for cls, field in MONEY]
)


# -- immutable --------------------------------------------------------------------------------------------------------


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
def test_metadata_refuses_every_way_of_changing_it(change: Any) -> None:
    event = TimerFired(timer_id=1, name="t", due=5, metadata={"a": "x"})
    with pytest.raises(TypeError, match="immutable"):
        change(event.metadata)
    assert event.metadata == {"a": "x"}


def test_metadata_does_not_follow_the_dict_that_it_was_made_from() -> None:
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


# -- checked at creation ----------------------------------------------------------------------------------------------


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
def test_levels_that_are_no_levels_are_refused(cls: type[DomainEvent], side: str, wrong: object) -> None:
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
def test_a_value_out_of_bounds_is_refused_by_event_field_and_value(
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


# -- JSON both ways ---------------------------------------------------------------------------------------------------


@every_type
@few
@given(data=st.data())
def test_json_gives_back_an_equal_event_of_the_same_class(cls: type[DomainEvent], data: st.DataObject) -> None:
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
def test_a_dict_gives_back_an_equal_event(cls: type[DomainEvent], data: st.DataObject) -> None:
    event = data.draw(events_of(cls))
    as_dict = event.to_dict()
    assert event_from_dict(as_dict) == event
    assert event_from_dict(msgspec.json.decode(msgspec.json.encode(as_dict))) == event


@every_type
def test_a_dict_says_type_version_envelope_and_own_fields(cls: type[DomainEvent]) -> None:
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
def test_bytes_that_are_no_event_are_refused_by_event_field_and_value(json: bytes, said: str) -> None:
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


def test_a_float_is_fine_where_no_money_is() -> None:
    event = SignalSnapshotEvent(symbol="B", values={"ema-12": 1.5})
    assert event_from_json(event.to_json()) == event


# -- the registry -----------------------------------------------------------------------------------------------------


def test_the_registry_knows_every_type_by_its_name() -> None:
    assert event_types() == sorted(event_types())
    for cls in CLASSES:
        assert event_class(cls.event_type) is cls
    assert event_class("nothing.such") is None
    assert event_class("gazette.printed") is GazetteEvent


def test_the_catalogue_holds_the_types_of_the_first_version() -> None:
    types = event_types()
    wanted = [
        "market.trade",
        "market.tick",
        "market.book",
        "market.book_delta",
        "market.gap_detected",
        "signal.snapshot",
    ]
    wanted += ["market.book_resynced", "market.candle", "strategy.decision", "risk.limit_breached", "trading.halted"]
    wanted += [f"order.{state}" for state in ("submitted", "accepted", "partially_filled", "filled", "cancelled")]
    wanted += [f"order.{state}" for state in ("rejected", "expired", "unknown")]
    wanted += [f"position.{state}" for state in ("opened", "updated", "closed")]
    wanted += [f"venue.{what}_reported" for what in ("order", "fill", "balance")]
    wanted += ["balance.updated", "timer.fired", "command.received", "system.handler_failed"]
    wanted += ["run.started", "run.stopped"]
    assert [name for name in wanted if name not in types] == []


@pytest.mark.parametrize("name", ["news", "News.published", "news.", ".published", "news published", "news.x-y", "9.x"])
def test_a_type_name_that_is_not_dotted_lower_case_is_refused(name: str) -> None:
    with pytest.raises(EventValidationError, match="dotted lower case"):
        type(DomainEvent)("Wrong", (DomainEvent,), {"event_type": name}, frozen=True, kw_only=True)
    assert event_class(name) is None


def test_a_type_name_belongs_to_one_class() -> None:
    with pytest.raises(EventValidationError, match=r"'market.trade' is taken by .*TradeEvent"):

        class Impostor(DomainEvent, frozen=True, kw_only=True):
            event_type: ClassVar[str] = "market.trade"

    assert event_class("market.trade") is TradeEvent


def test_a_base_without_a_type_is_not_registered() -> None:
    before = event_types()

    class Family(DomainEvent, frozen=True, kw_only=True):
        member: str

    assert event_types() == before
    with pytest.raises(EventValidationError, match="Family has no event_type, so it is a base class"):
        Family(member="x")


# -- types that this process does not know ----------------------------------------------------------------------------

UNKNOWN = (
    b'{"event_type":"weather.changed","version":3,"event_id":"4-1","seq":9,"ts":5,"degrees":21.5,"where":["Oslo"]}'
)


def test_an_unknown_type_is_kept_raw() -> None:
    event = event_from_json(UNKNOWN)
    assert isinstance(event, RawEvent)
    assert (event.raw_type, event.raw_version) == ("weather.changed", 3)
    assert (event.event_id, event.seq, event.ts) == ("4-1", 9, 5)
    assert event.payload == {"degrees": 21.5, "where": ["Oslo"]}


def test_an_unknown_type_is_shown_and_written_as_what_it_was() -> None:
    event = event_from_json(UNKNOWN)
    assert msgspec.json.decode(event.to_json()) == msgspec.json.decode(UNKNOWN)
    shown = event.to_dict()
    assert (shown["event_type"], shown["version"], shown["degrees"]) == (
        "weather.changed",
        3,
        21.5,
    )
    assert event_from_json(event.to_json()) == event


def test_an_unknown_type_on_a_tape_is_kept_raw() -> None:
    event = decode_payload("weather.changed", b'{"seq":9,"degrees":21.5}', version=2)
    assert isinstance(event, RawEvent)
    assert (event.raw_type, event.raw_version, event.seq) == ("weather.changed", 2, 9)


def test_the_content_of_an_unknown_type_cannot_be_changed() -> None:
    content = {"levels": [[1, {"a": 1}]], "empty": {}}
    made = RawEvent(raw_type="book.raw", raw=content)
    read = event_from_json(made.to_json())
    assert isinstance(read, RawEvent)
    content["levels"].append(2)  # type: ignore[attr-defined]

    for event in (made, read, pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert event.payload == {"levels": [[1, {"a": 1}]], "empty": {}}
        levels, empty = event.raw["levels"], event.raw["empty"]
        for change in (
            lambda: event.raw.update(a=1),  # noqa: B023
            lambda: empty.update(a=1),  # noqa: B023
            lambda: levels.append(1),  # noqa: B023
            lambda: levels[0].clear(),  # noqa: B023
            lambda: levels[0][1].pop("a"),  # noqa: B023
            lambda: levels.sort(),  # noqa: B023
        ):
            with pytest.raises(TypeError, match="events are immutable"):
                change()
    assert event_from_json(made.to_json()).to_json() == made.to_json()


def test_an_unknown_type_that_is_no_json_object_is_refused() -> None:
    with pytest.raises(EventDecodeError, match=r"^weather\.changed: "):
        decode_payload("weather.changed", b"[1]")


# -- the rest of the envelope -----------------------------------------------------------------------------------------


def test_occurred_at_is_ts_in_utc_cut_to_microseconds() -> None:
    event = TimerFired(timer_id=1, name="t", due=5, ts=1_723_075_200_123_456_789)
    assert event.occurred_at == datetime(2024, 8, 8, 0, 0, 0, 123456, tzinfo=UTC)
    assert event.to_dict()["occurred_at"] == "2024-08-08T00:00:00.123456+00:00"


def test_the_stamped_id_tells_an_input_from_what_it_led_to() -> None:
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
        # What a strategy is in is its own, and a portfolio is its account's.
        owner = event.aggregate_id if isinstance(event, StrategyEvent | StateUpdated) else f"{_account(event)}/"
        assert f"/{owner}" in f"{event.stream}/"
        assert not event.is_market_data
