"""Gate: a trace that is found by the tape's indexes is the one that the whole record gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from gate_runs import config, head_of_capture, play

from tickdeck.application.proof import trace
from tickdeck.bootstrap import open_record, trace_of
from tickdeck.errors import RunError
from tickdeck.infrastructure.tape import JsonlTape


@pytest.mark.long
@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
@pytest.mark.parametrize("market", ["simulated", "file"])
def test_a_trace_by_the_indexes_is_that_of_the_whole_record(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch, form: str, market: str
) -> None:
    monkeypatch.setitem(JsonlTape.__init__.__kwdefaults__, "segment_bytes", 50_000)
    tapes = (head_of_capture(shared, tmp_path),) if market == "file" else ()
    folder = play(config("Busy", "ema-cross", seconds=4, tapes=tapes, tape_format=form), tmp_path).folder
    record = list(open_record(folder))
    assert len(record) > 300
    for event in [*record[::40], *record[:5], *record[-5:]]:
        assert trace_of(folder, event.event_id) == trace(lambda: record, event.event_id)

    for unknown in ("999999", "1-99", "7-x", "nothing", ""):
        with pytest.raises(RunError, match="no event"):
            trace_of(folder, unknown)
