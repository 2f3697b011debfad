"""The registry of event types, and events whose type is unknown."""

from __future__ import annotations

import copy
import pickle
from typing import ClassVar

import msgspec
import pytest
from event_values import CLASSES, GazetteEvent

from tickdeck.domain.events import (
    DomainEvent,
    RawEvent,
    TradeEvent,
    decode_payload,
    event_class,
    event_from_json,
    event_types,
)
from tickdeck.errors import EventDecodeError, EventValidationError


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


def test_an_unknown_type_is_shown_and_written_unchanged() -> None:
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


def test_an_unknown_type_that_is_not_a_json_object_is_refused() -> None:
    with pytest.raises(EventDecodeError, match=r"^weather\.changed: "):
        decode_payload("weather.changed", b"[1]")
