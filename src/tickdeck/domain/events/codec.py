"""From JSON back to events."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tickdeck.domain.events.base import ENVELOPE, DomainEvent, encode_payload
from tickdeck.domain.events.declaration import declaration_of
from tickdeck.domain.events.kinds import JsonFloat, unknown_field
from tickdeck.domain.events.raw import RawEvent
from tickdeck.domain.events.registry import event_class
from tickdeck.domain.events.upcast import upcasted
from tickdeck.errors import EventDecodeError, EventSchemaError

__all__ = ["decode_payload", "event_from_dict", "event_from_json", "payload_decoder"]

_HEAD = ("event_type", "version")
_DERIVED = ("aggregate_id", "occurred_at", "crc", "stream", "stream_version")
"""What ``to_dict`` and a line of a JSON Lines tape add to the fields."""

_decoders: dict[type[DomainEvent], msgspec.json.Decoder[Any]] = {}
_raw_decoder = msgspec.json.Decoder(dict[str, Any])
_parts_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_literals = msgspec.json.Decoder(dict[str, Any], float_hook=JsonFloat)


class _Head(msgspec.Struct):
    event_type: str
    version: int = 1


_head_decoder = msgspec.json.Decoder(_Head)


def decode_payload(event_type: str, data: bytes | str, version: int = 1, stream: str | None = None) -> DomainEvent:
    """The inverse of ``encode_payload``. An unknown type gives a ``RawEvent``, with ``stream`` for its stream.

    For bytes that Tickdeck wrote: what comes from elsewhere goes through ``event_from_json``, which looks for floats.
    An older version of the type is brought to the newest by the functions that ``upcast`` registered. Raises
    ``EventDecodeError`` naming event, field and value; ``EventSchemaError``, which is one too, where nothing is wrong
    with the bytes: they are of a version that cannot be read, or have a field that the class does not know.
    """
    cls = event_class(event_type)
    try:
        if cls is None:
            return _raw_event(event_type, data, version, stream)
        if version != cls.version:
            data = _upcast(cls, data, version)
        elif declaration_of(cls).loose:
            _look_for_surprises(cls, data)
        event: DomainEvent = _decoder(cls).decode(data)
    except msgspec.MsgspecError as error:
        raise _decode_error(event_type, cls, data, error) from None
    except UnicodeDecodeError as error:
        raise EventDecodeError(f"{event_type}: it is not in UTF-8: {error}") from None
    return event


def payload_decoder(event_type: str, version: int) -> Callable[[bytes], DomainEvent] | None:
    """The quickest function that makes events of payloads of a type and version, ``None`` where only
    ``decode_payload`` can. What it raises may not name the field; ``decode_payload`` does.
    """
    cls = event_class(event_type)
    if cls is None or cls.version != version or declaration_of(cls).loose:
        return None
    return _decoder(cls).decode


def _decoder(cls: type[DomainEvent]) -> msgspec.json.Decoder[Any]:
    decoder = _decoders.get(cls)
    if decoder is None:
        decoder = _decoders[cls] = msgspec.json.Decoder(cls)
    return decoder


def _upcast(cls: type[DomainEvent], data: bytes | str, version: int) -> bytes:
    """The payload of an older version as one of the newest. The envelope stays: it is not the step's to change."""
    stored = _raw_decoder.decode(data)
    fields = upcasted(cls.event_type, stored, version, cls.version)
    fields |= {name: value for name, value in stored.items() if name in ENVELOPE}
    try:
        newest = encode_payload(fields)
    except (TypeError, ValueError) as error:
        raise EventDecodeError(
            f"{cls.event_type}: the upcast from version {version} gave what JSON has not: {error}"
        ) from None
    _look_for_surprises(cls, newest)
    return newest


def _look_for_surprises(cls: type[DomainEvent], data: bytes | str) -> None:
    """msgspec takes a JSON float for a ``Decimal``, and skips fields within a struct that it does not know. We do not:
    whoever wrote the float may have rounded it, and a field is never lost without a word."""
    for path, problem in declaration_of(cls).record.surprises_in("", _literals.decode(data)):
        unknown = problem.startswith("is a field that")
        raise (EventSchemaError if unknown else EventDecodeError)(f"{cls.event_type}: {path} {problem}")


def event_from_json(data: bytes | str) -> DomainEvent:
    """The inverse of ``DomainEvent.to_json``. A float where money belongs is refused.

    Raises ``EventDecodeError`` naming event, field and value.
    """
    try:
        head = _head_decoder.decode(data)
        parts = _parts_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise EventDecodeError(f"event: {error}; an event in JSON is an object with an 'event_type'") from None
    except UnicodeDecodeError as error:
        raise EventDecodeError(f"event: it is not in UTF-8: {error}") from None
    cls = event_class(head.event_type)
    for name in _HEAD:
        parts.pop(name, None)
    if cls is not None:
        for name in _DERIVED:
            if name not in cls.__struct_fields__:
                parts.pop(name, None)
    payload = encode_payload(parts)
    if cls is not None and cls.version == head.version:  # an older one is looked at when it was upcast
        try:
            _look_for_surprises(cls, payload)
        except UnicodeDecodeError as error:
            raise EventDecodeError(f"{head.event_type}: it is not in UTF-8: {error}") from None
    return decode_payload(head.event_type, payload, head.version)


def event_from_dict(data: Mapping[str, Any]) -> DomainEvent:
    """The inverse of ``DomainEvent.to_dict``. A float where money belongs is refused."""
    return event_from_json(msgspec.json.encode(data))


def _raw_event(event_type: str, data: bytes | str, version: int, stream: str | None) -> RawEvent:
    raw = _raw_decoder.decode(data)
    envelope = {k: v for k, v in raw.items() if k in ENVELOPE}
    return RawEvent(raw_type=event_type, raw_version=version, raw=raw, raw_stream=stream, **envelope)


_UNKNOWN = re.compile(r"unknown field `(?P<field>[^`]*)`")
_PATH = re.compile(r"at `\$\.?(?P<path>[^`]*)`")


def _decode_error(
    event_type: str, cls: type[DomainEvent] | None, data: bytes | str, error: Exception
) -> EventDecodeError:
    text = str(error)
    unknown = _UNKNOWN.search(text)
    if unknown is not None and cls is not None and "at `$" not in text:
        return EventSchemaError(f"{event_type}: {unknown['field']} {unknown_field(cls)}")
    match = _PATH.search(text)
    if match is None or not match["path"]:
        return EventDecodeError(text if text.startswith(f"{event_type}: ") else f"{event_type}: {text}")
    path = match["path"]
    try:
        value: Any = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as worse:  # what is behind the field was not read yet
        return EventDecodeError(f"{event_type}: {worse}")
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit():
            value = value[int(step)]
        else:
            break
    return EventDecodeError(
        f"{event_type}: {path} is {value!r}; {text[0].lower()}{text[1 : match.start()].rstrip(' -')}"
    )
