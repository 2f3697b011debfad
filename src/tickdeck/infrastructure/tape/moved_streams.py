"""Streams that got another key by an upcast.

Events stay in the stream in which they are stored. Where an upcast puts them into another stream, that one goes on
behind them: its next event gets the version after theirs, and a query for it finds them too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from tickdeck.domain.events import DomainEvent, decode_payload, event_class, iter_event_classes
from tickdeck.errors import EventError
from tickdeck.infrastructure.tape.records import Record

__all__ = ["MovedStreams", "may_move", "moved_streams", "old_types"]

MovedStreams: TypeAlias = dict[str, dict[str, int]]
"""By the key of a stream: the streams in which its first events are stored, each with the version of the last one."""


def may_move(name: str, version: int) -> bool:
    """Events of this type and version are upcast, and have a stream afterwards."""
    cls = event_class(name)
    return cls is not None and version < cls.version and cls.stream is not DomainEvent.stream


def old_types() -> Iterator[tuple[str, int]]:
    """All types and versions that ``may_move``."""
    for cls in iter_event_classes():
        for version in range(1, cls.version):
            if may_move(cls.event_type, version):
                yield cls.event_type, version


def moved_streams(records: Iterable[Record]) -> MovedStreams:
    """``records``: the events that ``may_move`` and are stored in a stream, in order of ``seq``."""
    moved: MovedStreams = {}
    for record in records:
        try:
            stream = decode_payload(record.type, record.payload, record.version).stream
        except (EventError, TypeError):
            continue  # who reads it is told
        if stream is not None and record.stream is not None and stream != record.stream:
            moved.setdefault(stream, {})[record.stream] = record.stream_version or 0
    return moved
