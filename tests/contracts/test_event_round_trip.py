"""Any values given to an event are refused, or both tapes return an equal event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import msgspec
import pytest
from event_values import values_of
from hypothesis import given, settings
from hypothesis import strategies as st
from many_examples import MANY

from tickdeck.domain.events import (
    ActionIntent,
    DomainEvent,
    ProtectionTerms,
    decode_payload,
    encode_payload,
    event_from_json,
    iter_event_classes,
)
from tickdeck.domain.values import OrderStatus, OrderType, Side, TimeInForce
from tickdeck.errors import EventValidationError
from tickdeck.infrastructure.tape import JsonlTape, SqliteTape


class Colour(Enum):
    RED = "red"
    BLUE = 7


class Shade(StrEnum):
    DARK = "dark"


class Leg(msgspec.Struct, frozen=True):
    name: str
    price: Decimal | None = None
    inner: tuple[dict[str, int], ...] = ()


_HINTS: list[Any] = [
    int, str, float, bool, Decimal, bytes, date, time, timedelta, datetime, UUID, Shade, Leg,
    int | Decimal, float | Decimal, int | str, Leg | None, Decimal | None, datetime | None, Literal["a", 1],
    tuple[Decimal, ...], tuple[str, int], list[Leg], dict[str, Decimal], dict[int, str], dict[Decimal, int],
    dict[str, list[Leg]], set[str], frozenset[int], dict[str, dict[str, float]], tuple[tuple[Decimal, Decimal], ...],
    Annotated[int, msgspec.Meta(ge=0)], Annotated[str, msgspec.Meta(max_length=3)],
]  # fmt: skip


def _define(number: int, hint: Any) -> type[DomainEvent]:
    namespace = {
        "__annotations__": {"value": hint},
        "__module__": __name__,
        "event_type": f"round_trip_test.kind_{number}",
    }
    made: type[DomainEvent] = type(DomainEvent)(f"Kind{number}", (DomainEvent,), namespace, frozen=True, kw_only=True)
    return made


class Named(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "round_trip_test.named"
    symbol: str
    account: str

    @property
    def stream(self) -> str:
        return f"named/{self.account}"


USERS = [*(_define(number, hint) for number, hint in enumerate(_HINTS)), Named]
CLASSES = [cls for cls in iter_event_classes() if cls.__module__.startswith("tickdeck.")] + USERS

_any_text = st.text(st.characters(), max_size=6) | st.sampled_from(["", "\ud800", "caf\ud83d", "\x00", "é", "a" * 50])
_numbers = (
    st.integers(-(1 << 66), 1 << 66)
    | st.integers(-5, 5)
    | st.floats()
    | st.decimals(allow_nan=True, allow_infinity=True)
    | st.sampled_from([Decimal("1E+400"), Decimal("-0"), Decimal("sNaN"), -0.0, 1 << 63, (1 << 63) - 1, 1e308])
)
_scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    _numbers,
    _any_text,
    st.binary(max_size=4),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([*Side, *OrderType, *OrderStatus, *TimeInForce, *Colour, *Shade, "buy", "maker", "portfolio"]),
)
_hashable = _scalars.filter(lambda value: not (isinstance(value, Decimal) and value.is_snan()))


def _grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(_hashable, inner, max_size=3),
        st.sets(_hashable, max_size=3),
        st.builds(Leg, name=inner, price=inner, inner=inner),
    )


_anything = st.recursive(_scalars, _grown, max_leaves=5)


def _likely(hint: Any) -> st.SearchStrategy[Any]:
    """Values that are usually valid."""
    if "ActionIntent" in str(hint) or "StateLeg" in str(hint):  # these refuse values of their own
        return _INTENTS | _anything
    if "ProtectionTerms" in str(hint):
        return values_of(ProtectionTerms) | _anything
    return st.from_type(hint) | _anything


_INTENTS: st.SearchStrategy[Any] = st.builds(
    ActionIntent,
    action=st.sampled_from(["order", "cancel", "amend"]),
    symbol=_any_text,
    side=st.sampled_from([*Side, None]),
    quantity=st.decimals(0, 10),
    order_id=_any_text,
)


@st.composite
def attempts(draw: st.DrawFn) -> Callable[[], DomainEvent]:
    cls = draw(st.sampled_from(CLASSES))
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(cls):
        if field.required or draw(st.integers(0, 4)) == 0:
            fields[field.name] = draw(_likely(field.type) if draw(st.integers(0, 3)) else _anything)
    return lambda: cls(**fields)


def _check(count: int, path: Path) -> None:
    accepted: list[DomainEvent] = []

    @settings(max_examples=count, deadline=None, database=None)
    @given(make=attempts())
    def collect(make: Callable[[], DomainEvent]) -> None:
        try:
            event = make()
        except EventValidationError as error:
            str(error).encode()
            return
        payload = encode_payload(event)
        back = decode_payload(event.event_type, payload, type(event).version)
        assert type(back) is type(event)
        assert back == event
        assert encode_payload(back) == payload
        assert event_from_json(event.to_json()) == event
        if len(accepted) < 20_000:
            accepted.append(event)

    collect()
    assert accepted
    stamped = [
        msgspec.structs.replace(event, seq=seq, event_id=str(seq), ts_ingress=seq, causation_id="", correlation_id="")
        for seq, event in enumerate(accepted, 1)
    ]
    for tape in (SqliteTape(path / "tape.db"), JsonlTape(path / "tape")):
        with tape:
            for event in stamped:
                tape.append([event])
            tape.wait_durable(len(stamped))
            assert list(tape.read()) == stamped


def test_an_event_is_refused_or_comes_back_from_both_tapes(tmp_path: Path) -> None:
    _check(300, tmp_path)


@pytest.mark.slow
def test_very_many_events_are_refused_or_come_back(tmp_path: Path) -> None:
    _check(MANY, tmp_path)
