"""Runs with bracket orders: proven, the same at any speed, and the same after any number of kills."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from gate_processes import left_alone
from gate_runs import config, finish, looking_up_often, play
from test_changed_code import Recorded
from test_kill_and_resume import kill_again_and_again

from tickdeck.bootstrap import answer_from_tape, open_record, start_run, trace_of, verify_run
from tickdeck.domain.events import BracketChangedEvent, BracketOpenedEvent
from tickdeck.infrastructure.exchanges.paper import PaperConfig
from tickdeck.infrastructure.runs import CoreStates

SIMULATED = config("Bracketed", symbols=("BTCUSDT", "ETHUSDT"), seconds=12, paper=PaperConfig(jitter_ns=30_000_000))


def test_a_run_with_brackets_is_proven_and_they_reach_every_end(tmp_path: Path) -> None:
    run = play(SIMULATED, tmp_path)
    verdict, changes = verify_run(run.folder)

    assert verdict.identical, verdict.divergence
    assert changes == []
    events = list(open_record(run.folder))
    ends = Counter(e.reason for e in events if isinstance(e, BracketChangedEvent) and e.status in ("done", "failed"))
    assert ends.keys() >= {
        "target",
        "stop",
        "trailing stop",
        "closed by another order",
        "its stop and target were removed",
        "its entry was cancelled, and nothing was filled",
    }
    opened = [e for e in events if isinstance(e, BracketOpenedEvent)]
    assert len(opened) > 40
    statuses = {e.status for e in events if isinstance(e, BracketChangedEvent)}
    assert statuses >= {"entering", "cancelling", "protecting", "protected", "done", "failed"}


@pytest.mark.parametrize("candles", [None, "1s"], ids=["trades", "candles"])
def test_a_backtest_with_brackets_is_proven(tmp_path: Path, candles: str | None) -> None:
    run = play(config("Bracketed", symbols=("BTCUSDT",), seconds=30, candles=candles, backtest=True), tmp_path)

    assert verify_run(run.folder)[0].identical
    ends = [e.status for e in open_record(run.folder) if isinstance(e, BracketChangedEvent)]
    assert {"done", "failed"} <= set(ends)


def test_trace_leads_from_the_decision_to_the_fill_and_the_end_of_a_bracket(tmp_path: Path) -> None:
    run = play(SIMULATED, tmp_path)
    events = list(open_record(run.folder))
    done = next(e for e in events if isinstance(e, BracketChangedEvent) and e.status == "done" and e.reason == "target")

    causes = [event.event_type for event in trace_of(run.folder, done.event_id).causes]

    assert causes[0] == "protection.ended"
    assert {"venue.fill_reported", "order.submitted"} <= set(causes)


def test_restoring_brackets_from_the_record_gives_the_state_of_executing_it(tmp_path: Path) -> None:
    recorded = Recorded(play(config("Bracketed", symbols=("BTCUSDT",), seconds=6), tmp_path))
    places = [
        place
        for place, event in enumerate(recorded.events)
        if isinstance(event, BracketChangedEvent | BracketOpenedEvent)
    ]
    cuts = sorted({next(end for end in [*recorded.begins, len(recorded.events)] if end > place) for place in places})
    for cut in cuts[:: max(len(cuts) // 25, 1)]:
        executed = recorded.executed(recorded.events[:cut])
        taken_up = recorded.taken_up(recorded.events[:cut], {})
        for part, state in executed.items():
            assert taken_up[part] == state, (cut, part)


@pytest.mark.parametrize("state_every", [0, 200], ids=["from the tape", "from a snapshot"])
def test_brackets_of_a_stopped_run_are_shown_as_they_were(tmp_path: Path, state_every: int) -> None:
    run = start_run(msgspec.structs.replace(SIMULATED, state_every=state_every), tmp_path)
    with looking_up_often():
        finish(run, stop=lambda: run.kernel.inputs > 900)
    assert bool(list(CoreStates(run.folder).newest_first())) == bool(state_every)
    ended = {name: (one.status, one.reason, one.held) for name, one in run.core.brackets.brackets.items()}

    shown = answer_from_tape(run.folder, "brackets", {})["brackets"]

    assert {one["bracket_id"]: (one["status"], one["reason"], Decimal(one["held"])) for one in shown} == ended


@pytest.mark.slow
def test_a_run_with_brackets_killed_at_random_instants_ends_as_if_uninterrupted(tmp_path: Path) -> None:
    found = kill_again_and_again(tmp_path, left_alone(SIMULATED, tmp_path), random.Random(5), 4)

    assert len(set(found)) >= 2, f"it got no further between the kills: {found}"
