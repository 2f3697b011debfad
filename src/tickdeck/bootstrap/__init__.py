"""Builds the complete systems: a bus, a run, a resumed run, a proof, a record.

One module for each system, which reads like a list of its parts. Nothing else creates parts.
"""

from tickdeck.bootstrap.archive import archive_market
from tickdeck.bootstrap.bus import RecordedBus, close_bus, open_bus
from tickdeck.bootstrap.core import Core
from tickdeck.bootstrap.limits_currency import limits_remarks
from tickdeck.bootstrap.live import LiveRun, start_live_run
from tickdeck.bootstrap.proof import verify_bus, verify_run
from tickdeck.bootstrap.queries import SessionQueries, answer_from_tape
from tickdeck.bootstrap.record import open_record, trace_of, trade_journal, triggers_of
from tickdeck.bootstrap.resume import resume_run
from tickdeck.bootstrap.run import Run, start_run
from tickdeck.bootstrap.session import Session
from tickdeck.bootstrap.store import open_store
from tickdeck.bootstrap.trade_file import trade_file

__all__ = [
    "Core",
    "LiveRun",
    "RecordedBus",
    "Run",
    "Session",
    "SessionQueries",
    "answer_from_tape",
    "archive_market",
    "close_bus",
    "limits_remarks",
    "open_bus",
    "open_record",
    "open_store",
    "resume_run",
    "start_live_run",
    "start_run",
    "trace_of",
    "trade_file",
    "trade_journal",
    "triggers_of",
    "verify_bus",
    "verify_run",
]
