"""Streams whose key an upcast changed.

Events stay in the stream in which they were stored. If an upcast moves them to another stream, that stream continues
after them: its next event gets the version after theirs, and a query for it finds them too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from tickdeck.domain.events import DomainEvent, decode_payload, event_class, iter_event_classes, keeps_stream
from tickdeck.errors import EventError
from tickdeck.infrastructure.tape.records import Record

__all__ = ["MovedStreams", "may_move", "moved_streams", "old_types"]

MovedStreams: TypeAlias = dict[str, dict[str, int]]
"""For the key of a stream: the streams in which its first events are stored, and the last version in each of them."""


def may_move(name: str, version: int) -> bool:
    """True if an upcast may move events of this type and version to another stream."""
    cls = event_class(name)
    if cls is None or version >= cls.version or cls.stream is DomainEvent.stream:
        return False
    return not keeps_stream(name, version, cls.version)


def old_types() -> Iterator[tuple[str, int]]:
    """Yield all types and versions for which ``may_move`` is true."""
    for cls in iter_event_classes():
        for version in range(1, cls.version):
            if may_move(cls.event_type, version):
                yield cls.event_type, version


def moved_streams(records: Iterable[Record]) -> MovedStreams:
    """Find the moved streams in ``records``: the stored events that may move, in order of ``seq``."""
    moved: MovedStreams = {}
    for record in records:
        try:
            stream = decode_payload(record.type, record.payload, record.version).stream
        except (EventError, TypeError):
            continue  # reading the event reports the error
        if stream is not None and record.stream is not None and stream != record.stream:
            moved.setdefault(stream, {})[record.stream] = record.stream_version or 0
    return moved
