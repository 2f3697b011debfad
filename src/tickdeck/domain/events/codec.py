"""Decodes events from JSON."""

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
from tickdeck.errors import EventDecodeError, EventError, EventSchemaError

__all__ = ["decode_payload", "event_from_dict", "event_from_json", "payload_decoder"]

_HEAD = ("event_type", "version")
_DERIVED = ("aggregate_id", "occurred_at", "crc", "stream", "stream_version")
"""Names that ``to_dict`` and the lines of a JSON Lines tape add to the fields."""

_decoders: dict[type[DomainEvent], msgspec.json.Decoder[Any]] = {}
_raw_decoder = msgspec.json.Decoder(dict[str, Any])
_parts_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_literals = msgspec.json.Decoder(dict[str, Any], float_hook=JsonFloat)


class _Head(msgspec.Struct):
    event_type: str
    version: int = 1


_head_decoder = msgspec.json.Decoder(_Head)


def decode_payload(event_type: str, data: bytes | str, version: int = 1, stream: str | None = None) -> DomainEvent:
    """The inverse of ``encode_payload``. An unknown type gives a ``RawEvent`` with ``stream`` as its stream.

    Use this only for bytes that Tickdeck wrote. For other sources use ``event_from_json``, which also rejects floats
    for decimals. An older version of the type is converted by the functions registered with ``upcast``.

    Raises ``EventDecodeError``, which names the event, the field and the value. Raises its subclass
    ``EventSchemaError`` if the bytes are intact but do not match the class: their version has no upcast, they have a
    field that the class does not have, or code of the class or of an upcast raised an error.
    """
    cls = event_class(event_type)
    try:
        if cls is None:
            return _raw_event(event_type, data, version, stream)
        if version != cls.version:
            data = _upcast(cls, data, version)
        elif declaration_of(cls).drops_unknown_fields:
            _check_json(cls, data)
        event: DomainEvent = _decoder(cls).decode(data)
    except msgspec.MsgspecError as error:
        raise _decode_error(event_type, cls, data, error) from None
    except UnicodeDecodeError as error:
        raise EventDecodeError(f"{event_type}: the payload is not UTF-8: {error}") from None
    except (EventError, TypeError, MemoryError):  # ``data`` may be no text at all
        raise
    except Exception as error:
        raise EventSchemaError(
            f"{event_type}: {_class_name(cls)} raised {type(error).__name__}: {error} for this event; change its "
            "__post_init__ or stream so that it accepts what was recorded"
        ) from error
    return event


def _class_name(cls: type[DomainEvent] | None) -> str:
    return RawEvent.__name__ if cls is None else f"the class {cls.__name__}"


def payload_decoder(event_type: str, version: int) -> Callable[[bytes], DomainEvent] | None:
    """The fastest decoder for a type and version; ``None`` if only ``decode_payload`` can decode them.

    Its errors may not name the field. Call ``decode_payload`` to get an error that does.
    """
    cls = event_class(event_type)
    if cls is None or cls.version != version or declaration_of(cls).drops_unknown_fields:
        return None
    return _decoder(cls).decode


def _decoder(cls: type[DomainEvent]) -> msgspec.json.Decoder[Any]:
    decoder = _decoders.get(cls)
    if decoder is None:
        decoder = _decoders[cls] = msgspec.json.Decoder(cls)
    return decoder


def _upcast(cls: type[DomainEvent], data: bytes | str, version: int) -> bytes:
    """Convert the payload of an older version to the newest. An upcast cannot change the envelope."""
    stored = _raw_decoder.decode(data)
    fields = upcasted(cls.event_type, stored, version, cls.version)
    fields |= {name: value for name, value in stored.items() if name in ENVELOPE}
    try:
        newest = encode_payload(fields)
    except (TypeError, ValueError) as error:
        raise EventSchemaError(
            f"{cls.event_type}: the upcast from version {version} returned a value that JSON cannot have: {error}"
        ) from None
    _check_json(cls, newest)
    return newest


def _check_json(cls: type[DomainEvent], data: bytes | str) -> None:
    """Reject what msgspec would accept: a JSON float for a ``Decimal``, which may have been rounded, and an unknown
    field of a nested struct, which would be lost."""
    for path, problem in declaration_of(cls).record.object_problems("", _literals.decode(data)):
        unknown = problem.startswith("is a field that")
        raise (EventSchemaError if unknown else EventDecodeError)(f"{cls.event_type}: {path} {problem}")


def event_from_json(data: bytes | str) -> DomainEvent:
    """The inverse of ``DomainEvent.to_json``. Rejects a float for a decimal.

    Raises ``EventDecodeError``, which names the event, the field and the value.
    """
    try:
        head = _head_decoder.decode(data)
        parts = _parts_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise EventDecodeError(f"event: {error}; an event is a JSON object with an 'event_type'") from None
    except UnicodeDecodeError as error:
        raise EventDecodeError(f"event: the JSON is not UTF-8: {error}") from None
    cls = event_class(head.event_type)
    for name in _HEAD:
        parts.pop(name, None)
    if cls is not None:
        for name in _DERIVED:
            if name not in cls.__struct_fields__:
                parts.pop(name, None)
    payload = encode_payload(parts)
    if cls is not None and cls.version == head.version:  # an older version is checked after its upcast
        try:
            _check_json(cls, payload)
        except UnicodeDecodeError as error:
            raise EventDecodeError(f"{head.event_type}: the payload is not UTF-8: {error}") from None
    return decode_payload(head.event_type, payload, head.version)


def event_from_dict(data: Mapping[str, Any]) -> DomainEvent:
    """The inverse of ``DomainEvent.to_dict``. Rejects a float for a decimal."""
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
    except (msgspec.MsgspecError, UnicodeDecodeError) as worse:  # the JSON after the field is broken
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
