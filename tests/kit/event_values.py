"""Shared by the tests of events: any valid event, one sample of each type, and the fields that hold money."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from tickdeck.domain.events import (
    ActionIntent,
    CandleEvent,
    DomainEvent,
    OrderAmendRequestedEvent,
    OrderBookDeltaEvent,
    ProtectionTerms,
    StateLeg,
    StateUpdated,
    TradeEvent,
    iter_event_classes,
)
from tickdeck.domain.values import Side


class GazetteEvent(DomainEvent, frozen=True, kw_only=True):
    """A user's type, with each kind of field."""

    event_type: ClassVar[str] = "gazette.printed"
    headline: str
    bounty: Decimal
    fee: Decimal | None = None
    tags: tuple[str, ...] = ()
    scores: dict[str, float] = {}


# Other tests define their own types, which are ignored here.
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
    if hint is ProtectionTerms:
        return st.builds(ProtectionTerms, **dict.fromkeys(ProtectionTerms.__struct_fields__, st.none() | positive))
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
    # What the types alone do not express:
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
    """The fields that are one amount, price or quantity."""
    hints = {name: hint for name, hint in get_type_hints(cls).items() if get_origin(hint) is not dict}
    return [f for f in cls.__struct_fields__ if hints.get(f) is Decimal or Decimal in get_args(hints.get(f))]


def sample(cls: type[DomainEvent]) -> DomainEvent:
    """One instance, always the same."""
    known: dict[Any, Any] = {
        Decimal: Decimal("1.50"),
        int: 7,
        bool: True,
        float: 0.5,
        str: "x",
        ActionIntent: ORDER,
        ProtectionTerms: TERMS,
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
TERMS = ProtectionTerms(stop_loss=Decimal(1), trailing_percent=Decimal("2.5"))
TRADE = TradeEvent(symbol="BTCUSDT", price=Decimal("61000.10"), quantity=Decimal("0.50"), side=Side.SELL, trade_id=7)
MONEY = [(cls, field) for cls in CLASSES for field in money_fields(cls)]
every_money_field = pytest.mark.parametrize(
    ("cls", "field"), MONEY, ids=[f"{cls.event_type}-{field}" for cls, field in MONEY]
)
