"""A writer for the durability gate. It runs as a separate process that is traced, killed and run on a full disk.

``python durable_writer.py TAPE CASCADES [unsynced]`` appends cascades and prints ``ACK <seq>`` for each seq that the
tape acknowledged as durable, and ``SNAP <version>`` for each snapshot of ``STREAM``, one ``write`` each. The content
depends only on the position (``cascade``), so that any reader of the tape knows what must be there. The tape is in JSON
Lines if TAPE is a folder, otherwise on SQLite.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tickdeck.domain.events import DomainEvent, OrderAcceptedEvent
from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape import JsonlTape, SqliteTape
from tickdeck.infrastructure.tape.jsonl import tape as jsonl
from tickdeck.infrastructure.tape.sqlite import schema

STREAM = "order/main/o0"
SEGMENT = 20_000
"""Several segments within a short run."""


def cascade(number: int, first_seq: int) -> list[DomainEvent]:
    """The ``number``-th cascade (from 0), with 1 to 5 events, occasionally longer than a page of the file."""
    size = number * 7 % 5 + 1
    padding = "x" * (5_000 if number % 11 == 5 else number * 37 % 200)
    return [
        OrderAcceptedEvent(
            order_id=f"o{number % 7}",
            symbol="BTCUSDT",
            venue_order_id=padding,
            event_id=f"{number + 1}-{k + 1}" if k else f"{number + 1}",
            correlation_id=f"{number + 1}",
            seq=first_seq + k,
            ts=first_seq + k,
            ts_ingress=first_seq,
        )
        for k in range(size)
    ]


def cascades(count: int) -> list[list[DomainEvent]]:
    """The first ``count`` cascades, with seq from 1."""
    found: list[list[DomainEvent]] = []
    seq = 1
    for number in range(count):
        found.append(cascade(number, seq))
        seq += len(found[-1])
    return found


def acknowledge(seq: int) -> None:
    os.write(1, b"ACK %d\n" % seq)


def open_tape(path: Path) -> SqliteTape | JsonlTape:
    return JsonlTape(path, segment_bytes=SEGMENT) if path.is_dir() else SqliteTape(path)


def state(version: int) -> bytes:
    """The content of a snapshot at a version: more than a sector."""
    return b"%d;" % version * 300


def write(path: Path, count: int) -> None:
    """Append what is missing of ``cascades(count)``: half of it, then close the tape, open it again and continue."""
    todo = cascades(count)
    for part in (todo[: count // 2], todo[count // 2 :]):
        with open_tape(path) as tape:
            if tape.durable_seq:
                acknowledge(tape.durable_seq)
            for number, events in enumerate(part):
                seq = events[-1].seq
                if seq <= tape.last_seq:
                    continue
                tape.append(events)
                if number % 3 == 0:
                    tape.wait_durable(seq)
                elif number % 3 == 1:
                    asyncio.run(tape.wait_durable_async(seq))
                else:
                    continue  # is committed with the next group
                acknowledge(seq)
                if number % 10 == 0:
                    version = tape.stream_version(STREAM)
                    tape.save_snapshot(STREAM, version, state(version))
                    os.write(1, b"SNAP %d\n" % version)
            last = tape.last_seq
        acknowledge(last)


if __name__ == "__main__":
    schema.CHECKPOINT_PAGES = 40  # several checkpoints within a short run
    if "unsynced" in sys.argv[3:]:
        schema.SYNCHRONOUS = "OFF"
        jsonl.sync_content = lambda fd: None
    try:
        write(Path(sys.argv[1]), int(sys.argv[2]))
    except TapeError as error:
        sys.exit(f"TapeError: {error}")
