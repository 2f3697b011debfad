"""Converts events to rows of the SQLite tape."""

from __future__ import annotations

import sqlite3
from typing import Any

from tickdeck.domain.events import DomainEvent, event_class
from tickdeck.infrastructure.tape.digest import Lines, event_head, stream_head
from tickdeck.infrastructure.tape.encoding import EventEncoder, Kind, StreamVersions
from tickdeck.infrastructure.tape.records import Head, Record
from tickdeck.infrastructure.tape.sqlite.schema import COLUMNS

__all__ = ["RowEncoder"]


class RowEncoder(EventEncoder[int]):
    """Returns the values of ``COLUMNS`` for an event, in the order of the table. Types get numbers; ``new_types`` lists
    those that the tape did not have when it was opened, with number, name and version."""

    def __init__(self, connection: sqlite3.Connection, versions: StreamVersions) -> None:
        super().__init__(versions)
        self.new_types: list[tuple[int, str, int]] = []
        self._type_ids: dict[tuple[str, int], int] = {}
        self._heads: dict[int, str] = {}  # how the digest's lines of a type begin
        for type_id, name, version in connection.execute("SELECT id, name, version FROM types"):
            self._type_ids[name, version] = type_id
            self._heads[type_id] = event_head(name, version).decode()

    def _type(self, name: str, version: int) -> int:
        type_id = self._type_ids.get((name, version))
        if type_id is None:
            type_id = self._type_ids[name, version] = max(self._type_ids.values(), default=0) + 1
            self._heads[type_id] = event_head(name, version).decode()
            self.new_types.append((type_id, name, version))
        return type_id

    def digest_lines(self, values: list[Any]) -> Lines:
        """The digest's view of these rows."""
        return _RowLines(values, self._heads)

    def _stored(
        self, event: DomainEvent, kind: Kind[int], payload: bytes, stream: str | None, version: int | None
    ) -> tuple[Any, ...]:
        correlation: str | None = event.correlation_id
        if not correlation or (kind.is_market_data and correlation == event.event_id):
            correlation = None
        symbol = kind.symbol_of(event) if kind.symbol_of is not None else None
        return event.seq, kind.stored, event.ts_ingress, symbol, stream, version, correlation, payload.decode()

    def _stored_record(self, record: Record, head: Head) -> tuple[Any, ...]:
        correlation: str | None = head.correlation_id
        cls = event_class(record.type)
        if not correlation or (cls is not None and cls.is_market_data and correlation == head.event_id):
            correlation = None
        return (
            head.seq,
            self._type(record.type, record.version),
            head.ts_ingress,
            head.symbol if isinstance(head.symbol, str) else None,
            record.stream,
            record.stream_version,
            correlation,
            record.payload.decode(),
        )


class _RowLines:
    def __init__(self, values: list[Any], heads: dict[int, str]) -> None:
        self._values = values
        self._heads = heads

    def __len__(self) -> int:
        return len(self._values) // COLUMNS

    def joined(self, start: int, stop: int) -> bytes:
        values, heads = self._values[start * COLUMNS : stop * COLUMNS], self._heads
        lines = [
            heads[type_id] + payload[1:]
            if stream is None
            else f"{heads[type_id]}{stream_head(stream, version).decode()}{payload[1:]}"
            for type_id, stream, version, payload in zip(
                values[1::COLUMNS], values[4::COLUMNS], values[5::COLUMNS], values[7::COLUMNS], strict=True
            )
        ]
        lines.append("")
        return "\n".join(lines).encode()

    def seq(self, place: int) -> int:
        seq: int = self._values[place * COLUMNS]
        return seq
