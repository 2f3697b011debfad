"""Plays records of pings in virtual time, with controls at given times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from application_kit import SECOND, START, Ping
from virtual_time import VirtualWall, run

from tickdeck.application.replay import Replayer
from tickdeck.domain.events import DomainEvent

Control = tuple[float, Callable[[Replayer], object]]
"""Seconds after the beginning, and the call to make on the replayer at that time."""


def pings(*seconds: float) -> list[Ping]:
    """One event per argument, that many seconds after ``START``, numbered from 1."""
    return [Ping(n=i, seq=i, ts_ingress=at(second)) for i, second in enumerate(seconds, start=1)]


def at(second: float) -> int:
    return START + round(second * SECOND)


def player(events: Iterable[DomainEvent]) -> Replayer:
    events = list(events)
    return Replayer(lambda: events, VirtualWall())


def play(
    record: Replayer | Iterable[DomainEvent], *controls: Control, takes: float = 0, **choice: Any
) -> list[tuple[float, DomainEvent]]:
    """The played events with their times (seconds after the beginning). The consumer needs a given time per event."""
    replayer = record if isinstance(record, Replayer) else player(record)
    return run(_play(replayer, controls, takes, choice))


async def _play(
    replayer: Replayer, controls: Iterable[Control], takes: float, choice: dict[str, Any]
) -> list[tuple[float, DomainEvent]]:
    wall = VirtualWall()

    async def operate() -> None:
        for second, control in controls:
            await wall.sleep(second - wall.monotonic_ns() / SECOND)
            control(replayer)

    operator = asyncio.create_task(operate())
    played = []
    async for event in replayer.replay(**choice):
        played.append((wall.monotonic_ns() / SECOND, event))
        if takes:
            await wall.sleep(takes)
    operator.cancel()
    await asyncio.wait((operator,))
    if not operator.cancelled():
        operator.result()
    return played


def seen(played: Iterable[tuple[float, DomainEvent]]) -> list[tuple[float, int]]:
    return [(second, event.seq) for second, event in played]


def numbers(played: Iterable[tuple[float, DomainEvent]]) -> list[int]:
    return [event.seq for _, event in played]


def pause(replayer: Replayer) -> None:
    replayer.pause()


def resume(replayer: Replayer) -> None:
    replayer.resume()


def seek(second: float) -> Callable[[Replayer], None]:
    return lambda replayer: replayer.seek(at(second))


def speed(times: Any) -> Callable[[Replayer], None]:
    return lambda replayer: replayer.set_speed(times)
