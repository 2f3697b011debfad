"""Events of older versions are converted step by step when they are read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tickdeck.domain.events import DomainEvent, decode_payload, event_from_json, keeps_stream, upcast
from tickdeck.domain.events.upcast import _keeping, _steps
from tickdeck.errors import EventDecodeError, EventValidationError, TapeError
from tickdeck.infrastructure.tape import SqliteTape
from tickdeck.infrastructure.tape.opening import open_reader
from tickdeck.infrastructure.tape.records import Record


class Deal(DomainEvent, frozen=True, kw_only=True):
    """Version 1 had a ``size`` as a number of cents, version 2 a ``price`` and no ``venue``."""

    event_type: ClassVar[str] = "upcast_test.deal"
    version: ClassVar[int] = 3
    price: Decimal
    venue: str


def to_price(fields: dict[str, Any]) -> dict[str, Any]:
    size = fields.pop("size")
    return {**fields, "price": str(Decimal(size) / 100)}


def with_venue(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "venue": "unknown"}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    before, keeping = dict(_steps), set(_keeping)
    yield
    _steps.clear()
    _steps.update(before)
    _keeping.clear()
    _keeping.update(keeping)


@pytest.fixture
def registered() -> None:
    upcast("upcast_test.deal", 1, to_price)
    upcast("upcast_test.deal", 2, with_venue)


V1 = b'{"seq":4,"event_id":"2-1","size":6150}'
V2 = b'{"seq":4,"event_id":"2-1","price":"61.50"}'
V3 = b'{"seq":4,"event_id":"2-1","price":"61.50","venue":"paper"}'


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(("version", "payload", "venue"), [(1, V1, "unknown"), (2, V2, "unknown"), (3, V3, "paper")])
def test_an_event_of_any_version_is_read_as_the_newest(version: int, payload: bytes, venue: str) -> None:
    event = decode_payload("upcast_test.deal", payload, version)

    assert event == Deal(seq=4, event_id="2-1", price=Decimal("61.5"), venue=venue)
    assert event.version == 3


@pytest.mark.usefixtures("registered")
def test_json_of_an_older_version_is_upcast() -> None:
    event = event_from_json(b'{"event_type":"upcast_test.deal","version":1,' + V1[1:])

    assert event == Deal(seq=4, event_id="2-1", price=Decimal("61.5"), venue="unknown")


def test_an_older_version_without_an_upcast_gives_one_clear_line() -> None:
    upcast("upcast_test.deal", 1, to_price)

    with pytest.raises(EventDecodeError, match=r"version 1 is older than version 3, .* no upcast from version 2"):
        decode_payload("upcast_test.deal", V1, 1)


def test_a_newer_version_gives_one_clear_line() -> None:
    with pytest.raises(EventDecodeError, match=r"version 4 is newer than version 3, which this process has; update"):
        decode_payload("upcast_test.deal", V3, 4)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b'{"seq":4}', r"the upcast from version 1 failed: KeyError: 'size'"),
        (b'{"size":"x"}', r"the upcast from version 1 failed: InvalidOperation"),
        (b'{"size"', "upcast_test.deal: "),
        (b'{"size":6150,"seq":"x"}', "upcast_test.deal: seq is 'x'"),
    ],
)
def test_an_event_that_an_upcast_cannot_read_gives_one_clear_line(payload: bytes, message: str) -> None:
    with pytest.raises(EventDecodeError, match=message):
        decode_payload("upcast_test.deal", payload, 1)


def test_two_functions_for_one_step_are_refused_but_reloading_one_is_not() -> None:
    upcast("upcast_test.deal", 1, to_price)
    upcast("upcast_test.deal", 1, to_price)

    with pytest.raises(EventValidationError, match=r"the upcast from version 1 is already registered by .*to_price"):
        upcast("upcast_test.deal", 1, with_venue)


def test_two_lambdas_for_one_step_are_refused() -> None:
    upcast("upcast_test.deal", 2, lambda fields: {**fields, "venue": "one"})

    with pytest.raises(EventValidationError, match="the upcast from version 2 is already registered by"):
        upcast("upcast_test.deal", 2, lambda fields: {**fields, "venue": "other"})


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda fields: fields["price"].nothing, "the upcast from version 2 failed: AttributeError"),
        (lambda fields: fields.update(venue="x"), "the upcast from version 2 returned None; it must return the fields"),
        (lambda fields: {**fields, "venue": object()}, "returned a value that JSON cannot have"),
        (
            lambda fields: {**fields, "venue": "x", "price": 1.1 * 3},
            r"price is 3\.3000000000000003; it must",
        ),
    ],
)
def test_a_failing_upcast_gives_one_clear_line(step: Any, message: str) -> None:
    upcast("upcast_test.deal", 2, step)

    with pytest.raises(EventDecodeError, match=message):
        decode_payload("upcast_test.deal", V2, 2)


def test_an_upcast_cannot_drop_the_envelope() -> None:
    upcast("upcast_test.deal", 2, lambda fields: {"price": fields["price"], "venue": "paper"})

    event = decode_payload("upcast_test.deal", V2, 2)

    assert (event.seq, event.event_id) == (4, "2-1")


def test_an_upcast_may_convert_a_float_of_an_old_version() -> None:
    upcast("upcast_test.deal", 2, lambda fields: {**fields, "price": str(fields["price"]), "venue": "paper"})

    event = event_from_json(b'{"event_type":"upcast_test.deal","version":2,"price":61.5}')

    assert event == Deal(price=Decimal("61.5"), venue="paper")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.usefixtures("registered")
def test_json_that_is_not_in_utf_8_gives_one_clear_line(version: int) -> None:
    data = b'{"event_type":"upcast_test.deal","version":%d,"price":"1","venue":"\xff"}' % version

    with pytest.raises(EventDecodeError, match="the payload is not UTF-8"):
        event_from_json(data)


def test_broken_json_after_a_wrong_field_gives_one_clear_line() -> None:
    with pytest.raises(EventDecodeError, match=r"market\.trade: JSON is malformed"):
        decode_payload("market.trade", b'{"symbol":"BTCUSDT","price":"1","quantity":"1","side":"buy0,"trade_id":"1"}')


def test_an_unreadable_version_is_not_reported_as_damage(tmp_path: Path) -> None:
    path = tmp_path / "tape.db"
    with SqliteTape(path) as tape:
        tape.append_records([Record("upcast_test.deal", 1, None, None, V1, "here")])
        tape.wait_durable(4)

    with open_reader(path) as reader, pytest.raises(TapeError) as refused:
        list(reader.read())

    assert "cannot be read: upcast_test.deal: version 1 is older" in str(refused.value)
    assert "damaged" not in str(refused.value)


@pytest.mark.parametrize(
    "broken",
    [
        lambda fields: fields["none"],
        lambda _: None,
        lambda fields: {**fields, "venue": object()},
        lambda _: sys.exit(0),
    ],
)
def test_an_error_in_an_upcast_is_not_reported_as_damage(tmp_path: Path, broken: Callable[[Any], Any]) -> None:
    upcast("upcast_test.deal", 1, to_price)
    upcast("upcast_test.deal", 2, broken)
    path = tmp_path / "tape.db"
    with SqliteTape(path) as tape:
        tape.append_records([Record("upcast_test.deal", 2, None, None, V2, "here")])
        tape.wait_durable(4)

    with (
        open_reader(path) as reader,
        pytest.raises(TapeError, match=r"cannot be read: upcast_test\.deal: the upcast from"),
    ):
        list(reader.read())


async def _async(fields: dict[str, Any]) -> dict[str, Any]:
    return fields


@pytest.mark.parametrize(
    "arguments",
    [(Deal, 1, dict), ("a.b", "1", dict), ("a.b", 0, dict), ("a.b", True, dict), ("a.b", 1, None), ("a.b", 1, _async)],
)
def test_an_upcast_that_could_never_be_used_is_refused(arguments: Any) -> None:
    with pytest.raises(EventValidationError, match=r"^upcast: "):
        upcast(*arguments)


def test_keeps_stream_is_true_or_false() -> None:
    with pytest.raises(EventValidationError, match=r"keeps_stream is 'yes'; give True or False"):
        upcast("upcast_test.deal", 1, to_price, keeps_stream="yes")  # type: ignore[arg-type]


def test_all_steps_must_keep_the_stream_for_an_event_to_keep_it() -> None:
    upcast("upcast_test.deal", 1, to_price, keeps_stream=True)
    upcast("upcast_test.deal", 2, with_venue)
    assert keeps_stream("upcast_test.deal", 1, 2)
    assert not keeps_stream("upcast_test.deal", 1, 3)

    upcast("upcast_test.deal", 2, with_venue, keeps_stream=True)
    assert keeps_stream("upcast_test.deal", 1, 3)
