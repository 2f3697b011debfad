"""Tapes in both formats, sound or with invalid content."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tickdeck.domain.events import DomainEvent, OrderAcceptedEvent, TradeEvent
from tickdeck.domain.values import Side
from tickdeck.infrastructure.tape import JsonlTape, SqliteTape
from tickdeck.infrastructure.tape.opening import AnyTape, open_reader
from tickdeck.infrastructure.tape.records import Record
from tickdeck.infrastructure.tape.tools.checking import CheckReport

ORDER = "order/main/a"


FORMS = pytest.mark.parametrize("form", ["sqlite", "jsonl"])


def event(event_id: str, seq: int, order_id: str | None = "a", **fields: Any) -> DomainEvent:
    parent = event_id.rpartition("-")[0]
    number = event_id.partition("-")[0]
    envelope = {
        "event_id": event_id,
        "causation_id": parent,
        "correlation_id": number,
        "seq": seq,
        "ts_ingress": seq,
        **fields,
    }
    if order_id is None:
        return TradeEvent(symbol="BTCUSDT", price=Decimal(1), quantity=Decimal(1), side=Side.BUY, **envelope)
    return OrderAcceptedEvent(order_id=order_id, symbol="BTCUSDT", **envelope)


def cascade(number: int, size: int = 3) -> list[DomainEvent]:
    """A market event and the events that it caused. Cascade ``number`` starts at seq ``10 * number``."""
    first = number * 10
    events = [event(str(number), first, None)]
    return events + [event(f"{number}-{k}", first + k, "ab"[k % 2]) for k in range(1, size)]


def open_form(path: Path, form: str, **options: Any) -> AnyTape:
    return JsonlTape(path, **{"segment_bytes": 4_000, **options}) if form == "jsonl" else SqliteTape(path)


def place(folder: Path, form: str) -> Path:
    return folder / ("tape" if form == "jsonl" else "tape.db")


def write(path: Path, form: str, numbers: range = range(1, 41)) -> list[DomainEvent]:
    """Write cascades, each in its own group, and a snapshot."""
    events: list[DomainEvent] = []
    with open_form(path, form) as tape:
        for number in numbers:
            tape.append(cascade(number))
            tape.wait_durable(tape.last_seq)
            events += cascade(number)
        tape.save_snapshot(ORDER, 2, b"state")
    return events


NOW = OrderAcceptedEvent.version


def write_raw(path: Path, form: str, records: list[list[tuple[dict[str, Any], str | None, int | None]]]) -> None:
    """Write groups of payloads with streams and versions, including ones that Tickdeck would never write."""
    with open_form(path, form) as tape:
        for group in records:
            tape.append_records(
                [
                    Record("order.accepted", NOW, stream, version, msgspec.json.encode(fields), "made up")
                    for fields, stream, version in group
                ]
            )
            tape.wait_durable(tape.last_seq)


def accepted(event_id: str, seq: int, order_id: str = "a", causation_id: str | None = None) -> dict[str, Any]:
    cause = event_id.rpartition("-")[0] if causation_id is None else causation_id
    return {"event_id": event_id, "causation_id": cause, "seq": seq, "order_id": order_id, "symbol": "S"}


def said(report: CheckReport) -> str:
    return "\n".join(f"{problem.where}: {problem.what}" for problem in report.problems)


def sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def content(path: Path) -> dict[str, bytes]:
    return {str(found.relative_to(path)): found.read_bytes() for found in path.rglob("*") if found.is_file()}


def stored(path: Path) -> list[tuple[Any, ...]]:
    with open_reader(path) as reader:
        return [record[:-1] for record in reader.records()] + list(reader.snapshots())
