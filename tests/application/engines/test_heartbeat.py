"""The heartbeat: at fixed intervals of the run's clock, with the progress of the run."""

from __future__ import annotations

from application_kit import MS, START, Core, trade

from tickdeck.domain.events import SystemHeartbeat

STEP = 100 * MS


def beats(core: Core) -> list[tuple[int, int, int, int]]:
    found = (e for e in core.tape.events if isinstance(e, SystemHeartbeat))
    return [(e.ts_ingress - START, e.number, e.inputs, e.events) for e in found]


def test_heartbeats_come_at_fixed_intervals_and_count_earlier_events() -> None:
    core = Core(monitors=STEP).start()
    core.feed(trade("1", ts=START + 150 * MS), trade("1", ts=START + 350 * MS))

    found = beats(core)

    assert [(at, number) for at, number, _, _ in found] == [(100 * MS, 1), (200 * MS, 2), (300 * MS, 3)]
    inputs, events = [i for _, _, i, _ in found], [n for _, _, _, n in found]
    assert inputs == sorted(inputs)
    assert [e.seq - 1 for e in core.tape.events if isinstance(e, SystemHeartbeat)] == events


def test_without_an_interval_there_is_none() -> None:
    core = Core().start().feed(trade("1", ts=START + 10**12))
    assert beats(core) == []
    assert core.of("timer.fired") == []
