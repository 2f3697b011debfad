"""The rows of the tape, and of programs that save aggregates on it."""

from __future__ import annotations

from tickdeck.interfaces.bench.row import Goal, Part, Row, own_part

__all__ = ["TAPE_ROWS"]

_HERE = "tickdeck.interfaces.bench"


def _tape(function: str, count: int, quick: int) -> Part:
    return own_part(f"tape:{function}", count, quick, needs_folder=True)


TAPE_ROWS = (
    Row(
        name="tape-append",
        what="tape: durable append, four indexes, group commit",
        unit="events/s",
        part=_tape("tape_append", 100_000, 2_000),
        in_it="SqliteTape.append of stamped trades and orders one cascade at a time (JSON, stream versions, order of "
        "seq), until everything is durable",
        ceiling_is="executemany of the same prepared rows, in transactions of the same size; same pragmas",
        goals=(Goal(text="at least 0.6 of bare", of="ratio", at_least=0.6),),
        runs=7,
        warm_up=1,
    ),
    Row(
        name="tape-one",
        what="tape: one event, durable",
        unit="events/s",
        part=_tape("tape_one", 400, 100),
        in_it="append and wait_durable, one cascade after another",
        ceiling_is="BEGIN, INSERT of the prepared row, COMMIT with synchronous=FULL, same disk",
        goals=(Goal(text="at least 0.6 of bare", of="ratio", at_least=0.6),),
        runs=15,
    ),
    Row(
        name="tape-read",
        what="tape: read back as typed events",
        unit="events/s",
        part=_tape("tape_read", 200_000, 2_000),
        in_it="SqliteTapeReader.read in short transactions: events with all checks of their fields",
        ceiling_is="one SELECT and msgspec's decoder of the same classes, with the same checks",
        peers={
            "eventsourcing": Part(
                target="eventsourcing_read",
                parameters={"count": 20_000},
                quick={"count": 1_000},
                needs_folder=True,
                module="eventsourcing",
                in_it="EventStore.get of one aggregate from SQLite, with a msgspec transcoder; checks by msgspec alone",
            )
        },
        goals=(Goal(text="at least 0.7 M/s", at_least=0.7e6),),
        warm_up=1,
    ),
    Row(
        name="tape-jsonl-append",
        what="tape in JSON Lines: durable append, group commit",
        unit="events/s",
        part=_tape("tape_jsonl_append", 200_000, 2_000),
        in_it="JsonlTape.append of the same cascades as in tape-append (JSON, checksums, stream versions, order of "
        "seq), until everything is durable",
        ceiling_is="the same prepared lines, with one write and one fdatasync for the same number of lines",
        goals=(Goal(text="at least 0.4 M/s", at_least=0.4e6),),
        runs=7,
        warm_up=1,
    ),
    Row(
        name="tape-jsonl-read",
        what="tape in JSON Lines: read back as typed events",
        unit="events/s",
        part=_tape("tape_jsonl_read", 200_000, 2_000),
        in_it="JsonlTapeReader.read: every checksum verified, events with all checks of their fields",
        ceiling_is="msgspec's decoder of the same classes, with the same checks, on payloads in memory",
        goals=(Goal(text="at least 0.7 M/s", at_least=0.7e6),),
        warm_up=1,
    ),
    *(
        Row(
            name=f"commands-{at_once}",
            what=f"commands through a unit of work on SQLite, {what}",
            unit="commands/s",
            part=own_part("use_cases:commands", count, 100, needs_folder=True, at_once=at_once),
            in_it="Dispatcher, a handler that loads a balance of a short stream, changes it and commits: versions "
            "checked, stamped, dispatched, durable when it returns",
            ceiling_is="BEGIN, INSERT of the prepared row, COMMIT with synchronous=FULL, one after the other",
            goals=(Goal(text=f"at least {least} of bare commits", of="ratio", at_least=least),),
            runs=runs,
        )
        for at_once, what, count, least, runs in (
            (1, "one after the other", 400, 0.6, 15),
            (64, "64 at once", 4_000, 5.0, 7),
        )
    ),
    Row(
        name="aggregate-load",
        what="loading an aggregate of 10,000 events with snapshots",
        unit="ms",
        part=Part(
            target=f"{_HERE}.use_cases:aggregate_load",
            parameters={"events": 10_000},
            quick={"events": 500},
            needs_folder=True,
        ),
        in_it="Repository.get of a new repository on SQLite: the newest snapshot, and the 50 events after it",
        goals=(Goal(text="below 1 ms", below=1.0),),
        more_is_better=False,
        warm_up=1,
    ),
)
