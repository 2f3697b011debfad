"""Stored events without decoding them. Copies and checks use these, because they must not depend on the event types
known to this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import msgspec

from tickdeck.domain.events import DomainEvent, decode_payload, event_class, payload_decoder
from tickdeck.errors import EventError

__all__ = ["Decode", "Head", "Record", "decode_head", "decoder_of", "explain"]

Decode: TypeAlias = Callable[[bytes], DomainEvent]


class Record(NamedTuple):
    """One stored event. ``where`` is its place on the tape, for messages."""

    type: str
    version: int
    stream: str | None
    stream_version: int | None
    payload: bytes
    where: str


class Head(msgspec.Struct, gc=False):
    """The part of a payload that tapes need."""

    event_id: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    seq: int = 0
    ts_ingress: int = 0
    symbol: Any = None


decode_head = msgspec.json.Decoder(Head).decode


def decoder_of(name: str, version: int) -> Decode | None:
    """Decodes payloads of a type and version into events. Its errors may not name the field; ``explain`` does.

    ``None`` if this process does not know the type. Then the event's stream is needed too, see ``decode_payload``.
    """
    if event_class(name) is None:
        return None
    return payload_decoder(name, version) or (lambda payload: decode_payload(name, payload, version))


def explain(name: str, version: int, payload: bytes, error: Exception) -> Exception:
    """Why a payload cannot be decoded, naming the field if possible."""
    try:
        decode_payload(name, payload, version)
    except (EventError, TypeError) as better:
        return better
    return error
