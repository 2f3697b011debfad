"""Reads a tape as typed events, from any process, in short transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tickdeck.application.arguments import check_stream, check_whole
from tickdeck.application.ports import EVERYTHING, Snapshot, TapeQuery
from tickdeck.domain.events import DomainEvent, decode_payload
from tickdeck.errors import EventSchemaError, TapeError
from tickdeck.infrastructure.tape.digest import BLOCK, Mark
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.moved_streams import MovedStreams, may_move, moved_streams
from tickdeck.infrastructure.tape.reading import ReadOnly
from tickdeck.infrastructure.tape.records import Decode, Record, decode_head, decoder_of, explain
from tickdeck.infrastructure.tape.sqlite.places import GREATEST, Places, clamp
from tickdeck.infrastructure.tape.sqlite.schema import open_for_reading, snapshot_checksum

__all__ = ["EVERYTHING", "SqliteTapeReader"]

_CHUNK = 1_024
"""Events per transaction. While a reader keeps one open, the writer cannot reuse its log."""
_MERGED_TYPES = 64
"""Up to this many types are read by index and merged. With more, all events are read."""
_WITH_SNAPSHOTS, _WITH_DIGEST, _WITH_CHECKSUMS = 2, 3, 4
"""The versions of the schema that added these."""


_MISFITS = """SELECT seq FROM events WHERE seq > ? AND json_valid(payload) AND (
    json_extract(payload, '$.seq') IS NOT seq
    OR coalesce(json_extract(payload, '$.ts_ingress'), 0) IS NOT ts
    OR (json_type(payload, '$.symbol') IS 'text' OR symbol IS NOT NULL)
        AND json_extract(payload, '$.symbol') IS NOT symbol
    OR coalesce(correlation_id, json_extract(payload, '$.event_id'), '')
        IS NOT coalesce(nullif(json_extract(payload, '$.correlation_id'), ''), json_extract(payload, '$.event_id'), '')
)"""
"""``correlation_id`` is NULL if there is none, and for market data that starts its own correlation."""


class _Type(NamedTuple):
    name: str
    version: int


class SqliteTapeReader(ReadOnly):
    """A tape opened for reading. A writer may write it meanwhile, or may have been killed. Holds no lock between
    chunks.

    Use a reader from one thread at a time, and keep it open while you iterate over a result of ``read``. Raises
    ``TapeError`` if there is no tape or it cannot be read, ``TapeVersionError`` if the file is not a tape or has a
    newer version."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._connection = open_for_reading(self._path)
        self._places = Places(self._path, self._connection)
        self._types: dict[int, _Type] = {}
        self._decoders: dict[int, Decode] = {}
        self._moved: MovedStreams | None = None

    @property
    def last_seq(self) -> int:
        """``seq`` of the last event that is on the tape now, 0 if it is empty."""
        return self._places.last_seq

    def stream_version(self, stream: str) -> int:
        """The number of events in a stream, 0 if it has none."""
        check_stream("stream_version", stream)
        version: int | None = self._places.one("SELECT max(stream_version) FROM events WHERE stream = ?", stream)
        return version or max(self._moved_streams().get(stream, {}).values(), default=0)

    def _events(self, query: TapeQuery) -> Iterator[DomainEvent]:
        """Yield the matching events in order of ``seq``. Cascades are complete unless the query excludes a part.

        This includes events that are appended meanwhile, until it reaches the end of the tape. Types that this process
        does not know become ``RawEvent``. Raises ``TapeError`` with the ``seq`` if an event does not decode.
        """
        after = max(query.first_seq, 1) - 1
        if query.from_id is not None:
            after = max(after, self.seq_of(query.from_id))
        last = GREATEST if query.last_seq is None else query.last_seq
        left = GREATEST if query.limit is None else query.limit
        root = None
        if query.correlation_id is not None:
            root = self._places.correlation_root(query.correlation_id)
        elif query.stream is None and (query.first_ts is not None or query.last_ts is not None):
            # Narrow the range of seq by time. The condition on ts stays, because a clock may have jumped.
            bounds = self._places.seqs_between(query.first_ts, query.last_ts)
            after, last = max(after, bounds[0] - 1), min(last, bounds[1])
        moved = () if query.stream is None else tuple(self._moved_streams().get(query.stream, ()))
        decoders = self._decoders
        while left > 0 and after < last:
            size = min(_CHUNK, left)
            rows = self._chunk(query, root, moved, max(after, 0), min(last, GREATEST), size)
            for seq, type_id, payload in rows:
                try:
                    event = decoders[type_id](payload)
                except Exception as error:  # noqa: BLE001 (the code of the class may raise anything)
                    raise self._undecodable(seq, type_id, payload, error) from None
                if moved and event.stream != query.stream:
                    left += 1
                    continue
                yield event
            if len(rows) < size:
                return
            after = rows[-1][0]
            left -= size

    def load_snapshot(self, stream: str, upto: int | None = None) -> Snapshot | None:
        """See ``Tape.load_snapshot``."""
        check_stream("load_snapshot", stream)
        check_whole("load_snapshot", "upto", upto, optional=True)
        found = self._snapshots(
            "WHERE stream = ? AND version <= ? ORDER BY version DESC LIMIT 1",
            stream,
            GREATEST if upto is None else upto,
        )
        return next((snapshot for _, snapshot in found), None)

    def records(self, after: int = 0) -> Iterator[Record]:
        """Yield the stored events after ``after``, in order of ``seq``. The type of a damaged event may be empty."""
        size = _CHUNK
        while size == _CHUNK:
            rows = self.rows(
                "SELECT seq, type_id, stream, stream_version, payload FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
                after,
                _CHUNK,
            )
            try:
                self._learn_types()
            except sqlite3.Error as error:
                raise tape_error(self._path, "read the tape", error) from error
            for seq, type_id, stream, version, payload in rows:
                kind = self._types.get(type_id) or _Type("", 0)
                name = None if stream is None else _text(stream)
                data = payload if isinstance(payload, bytes) else str(payload).encode()
                yield Record(kind.name, kind.version, name, version, data, f"seq {seq}")
                after = seq
            size = len(rows)

    def mark(self) -> Mark | None:
        """The tape's digest from its last commit; ``None`` if the tape has no digest or no events."""
        if not self.has_digest:
            return None
        rows = self.rows("SELECT events, last_seq, digest FROM blocks ORDER BY number DESC LIMIT 2")
        if not rows:
            return None
        (events, _, digest), *before = rows
        _, block_seq, block = before[0] if before else (0, 0, b"")
        return Mark(events, block_seq, _text(block), _text(digest))

    def mark_before(self, seq: int) -> Mark | None:
        """The end of the last full block of the digest that is known to lie before ``seq``; ``None`` if there is no
        such block."""
        if not self.has_digest:
            return None
        rows = self.rows(
            "SELECT events, last_seq, digest FROM blocks WHERE last_seq < ? "
            "AND number < (SELECT max(number) FROM blocks) ORDER BY number DESC LIMIT 1",
            clamp(seq),
        )
        return Mark(rows[0][0], rows[0][1], _text(rows[0][2]), "") if rows else None

    def digests(self, after: Mark | None = None) -> tuple[list[tuple[int, int, str]], int]:
        """The number of events, ``seq`` and digest at the end of each full block and of all events, from the block
        after ``after`` on; also the ``seq`` of the last event at that time."""
        if not self.has_digest:
            return [], self.last_seq
        rows = self.rows(  # one statement sees one state of the tape
            "SELECT events, last_seq, digest, (SELECT max(seq) FROM events) FROM blocks "
            "WHERE number > ? OR number = 0 ORDER BY number",
            after.events // BLOCK if after is not None else 0,
        )
        ends = [(events, last_seq, _text(digest)) for events, last_seq, digest, _ in rows]
        return ends, (rows[-1][3] or 0) if rows else self.last_seq

    def misfits(self, after: int = 0) -> list[int]:
        """``seq`` of the rows after ``after`` whose columns differ from their event."""
        return [seq for (seq,) in self.rows(_MISFITS, after)]

    @property
    def has_digest(self) -> bool:
        """True if the tape was created by a version that has digests. This includes empty tapes."""
        version: int = self._places.one("PRAGMA user_version")
        if version < _WITH_DIGEST:
            return False
        return not self._places.one("SELECT count(*) FROM blocks WHERE number = 0")

    def snapshots(self) -> Iterator[tuple[str, Snapshot]]:
        """All saved snapshots, by stream and version. Raises ``TapeError`` if one is damaged."""
        return self._snapshots("ORDER BY stream, version")

    def _snapshots(self, which: str, *parameters: object) -> Iterator[tuple[str, Snapshot]]:
        version: int = self._places.one("PRAGMA user_version")
        if version < _WITH_SNAPSHOTS:
            return
        checksum = "checksum" if version >= _WITH_CHECKSUMS else "NULL"
        statement = f"SELECT stream, version, state, {checksum} FROM snapshots {which}"  # noqa: S608
        for stream, number, state, expected in self.rows(statement, *parameters):
            name = _text(stream)
            if expected is not None and expected != snapshot_checksum(name, Snapshot(number, state)):
                what = "was changed since it was written; delete its row, the events are complete"
                raise TapeError(f"{self._path}: the snapshot of {name!r} at version {number} {what}")
            yield name, Snapshot(number, state)

    def rows(self, statement: str, *parameters: object) -> list[Any]:
        """The rows of any SELECT. Raises ``TapeError``."""
        return self._places.rows(statement, *parameters)

    def seq_of(self, event_id: str) -> int:
        """See ``Places.seq_of``."""
        return self._places.seq_of(event_id)

    def close(self) -> None:
        """Close the file. You may close a reader twice."""
        self._connection.close()

    def __enter__(self) -> SqliteTapeReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- one chunk --------------------------------------------------------------------------------------------------

    def _chunk(
        self, query: TapeQuery, root: int | None, moved: tuple[str, ...], after: int, last: int, size: int
    ) -> list[tuple[int, int, bytes]]:
        connection = self._connection
        try:
            connection.execute("BEGIN")  # so that types and events come from the same state
            try:
                self._learn_types()
                statement, parameters = self._select(query, root, moved)
                parameters |= {"after": after, "last": last, "size": size}
                if query.stream is not None and after:
                    parameters["version"] = self._places.version_at(query.stream, after)
                return connection.execute(statement, parameters).fetchall()
            finally:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise tape_error(self._path, f"read the tape after seq {after}", error) from error

    def _learn_types(self) -> None:
        known = max(self._types, default=0)
        for type_id, name, version in self._connection.execute(
            "SELECT id, name, version FROM types WHERE id > ?", (known,)
        ).fetchall():
            text = _text(name)
            self._types[type_id] = _Type(text, version)
            self._decoders[type_id] = decoder_of(text, version) or self._raw_decoder(text, version)

    def _raw_decoder(self, name: str, version: int) -> Decode:
        """A decoder for a type that this process does not know. The event keeps the stream in which it is stored."""

        def decode(payload: bytes) -> DomainEvent:
            stream = self._places.one("SELECT stream FROM events WHERE seq = ?", decode_head(payload).seq)
            return decode_payload(name, payload, version, None if stream is None else _text(stream))

        return decode

    def _moved_streams(self) -> MovedStreams:
        """Computed once: no writer adds events of old versions."""
        if self._moved is None:
            try:
                self._learn_types()
                ids = [str(type_id) for type_id, kind in self._types.items() if may_move(*kind)]
                self._moved = moved_streams(self._records_of(ids)) if ids else {}
            except sqlite3.Error as error:
                raise tape_error(self._path, "read the tape", error) from error
        return self._moved

    def _records_of(self, type_ids: list[str]) -> Iterator[Record]:
        """Yield the stored events of these types that are in a stream."""
        for seq, type_id, stream, version, payload in self._connection.execute(
            "SELECT seq, type_id, stream, stream_version, payload FROM events "  # noqa: S608 numbers only
            f"WHERE type_id IN ({', '.join(type_ids)}) AND stream IS NOT NULL ORDER BY seq"
        ):
            yield Record(*self._types[type_id], _text(stream), version, payload, f"seq {seq}")

    def _select(self, query: TapeQuery, root: int | None, moved: tuple[str, ...] = ()) -> tuple[str, dict[str, Any]]:
        """The statement for a chunk. Each arm returns rows in order of seq from one index, and SQLite merges them.

        A ``+`` stops SQLite from using the index of that column. With it, SQLite would sort all matching rows for each
        chunk.
        """
        conditions = ["seq > :after", "seq <= :last"]
        parameters: dict[str, Any] = {}
        for condition, name, value in (
            ("symbol = :symbol", "symbol", query.symbol),
            ("+ts >= :first_ts", "first_ts", clamp(query.first_ts)),
            ("+ts <= :last_ts", "last_ts", clamp(query.last_ts)),
            ("", "stream", query.stream),
            ("", "correlation", query.correlation_id),
        ):
            if value is not None:
                parameters[name] = value
                if condition:
                    conditions.append(condition)
        parameters |= {f"moved{number}": stream for number, stream in enumerate(moved)}
        streams = [":stream", *(f":moved{number}" for number in range(len(moved)))]
        arms, order = [""], "seq"
        if query.correlation_id is not None:
            arms = ["correlation_id = :correlation"]
            if root is not None:
                arms.append(f"seq = {root}")
            if query.stream is not None:
                conditions.append(f"+stream IN ({', '.join(streams)})")
        elif query.stream is not None and not moved:
            # In order of the stream's own index, so that a long stream is neither sorted nor read from its beginning.
            arms, order = ["stream = :stream AND stream_version > :version"], "stream_version"
            parameters["version"] = 0
        elif query.stream is not None:
            arms = [f"stream = {name}" for name in streams]
        if query.patterns and "*" not in query.patterns:
            ids = [i for i, t in self._types.items() if any(fnmatchcase(t.name, pattern) for pattern in query.patterns)]
            if arms == [""] and 0 < len(ids) <= _MERGED_TYPES:
                arms = [f"type_id = {i}" for i in ids]
            else:
                conditions.append(f"+type_id IN ({', '.join(map(str, ids))})")
        common = " AND ".join(conditions)
        union = " UNION ALL ".join(
            f"SELECT seq, type_id, payload FROM events WHERE {arm + ' AND ' if arm else ''}{common}"  # noqa: S608 numbers only
            for arm in arms
        )
        return f"{union} ORDER BY {order} LIMIT :size", parameters

    def _undecodable(self, seq: int, type_id: int, payload: bytes, error: Exception) -> TapeError:
        kind = self._types.get(type_id)
        if kind is None:
            return TapeError(
                f"{self._path}: event seq {seq} is damaged: its type number {type_id} is not defined on the tape"
            )
        reason = explain(kind.name, kind.version, payload, error)
        if isinstance(reason, EventSchemaError):
            what = "cannot be read"
        elif _is_json(payload):
            what = "is damaged, or does not match its class or upcast"
        else:
            what = "is damaged"
        return TapeError(f"{self._path}: event seq {seq} {what}: {reason}")


def _is_json(payload: bytes) -> bool:
    try:
        msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
        return False
    return True


def _text(data: object) -> str:
    return data.decode(errors="replace") if isinstance(data, bytes) else str(data)
