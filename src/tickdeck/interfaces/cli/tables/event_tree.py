"""Events and their effects, drawn as lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tickdeck.application.bus import type_name
from tickdeck.application.units import clock_time
from tickdeck.interfaces.cli.describing import describe_event

if TYPE_CHECKING:
    from tickdeck.application.proof import Effect
    from tickdeck.domain.events import DomainEvent

__all__ = ["chain", "effect_lines"]

_OLDEST, _NEWEST = 4, 12
"""For a chain longer than both together: how many events to show from each end."""
_NO_TIME = " " * 12


def chain(events: Sequence[DomainEvent], *, marked: bool = False) -> list[str]:
    """One line per event, each indented below its cause; the last one is ``marked``."""
    lines = _chain(events)
    return [*lines[:-1], _mark(lines[-1])] if marked else lines


def _mark(line: str) -> str:
    """The gap between the time and the rest."""
    return f"{line[: len(_NO_TIME)]} >{line[len(_NO_TIME) + 2 :]}"


def _chain(events: Sequence[DomainEvent]) -> list[str]:
    between = len(events) - _OLDEST - _NEWEST
    if between <= 1:
        return [_line(event, depth) for depth, event in enumerate(events)]
    return [
        *(_line(event, depth) for depth, event in enumerate(events[:_OLDEST])),
        f"{_NO_TIME}  {'  ' * (_OLDEST - 1)}└ … {between:,} more between",
        *(_line(event, _OLDEST + 1 + depth) for depth, event in enumerate(events[-_NEWEST:])),
    ]


def effect_lines(effects: Sequence[Effect], *, depth: int, below: int) -> Iterator[str]:
    """The tree of effects to ``depth`` levels, in order of ``seq`` on each level.

    It is attached to line ``below`` of a chain, counted from 0.
    """
    waiting = [(effect, 1, "  " * below, effect is effects[-1]) for effect in reversed(effects)]
    while waiting:
        effect, level, indent, last = waiting.pop()
        yield f"{_words(effect.event, indent + ('└ ' if last else '├ '))}"
        indent += "  " if last else "│ "
        if level < depth:
            children = effect.effects
            waiting += [(child, level + 1, indent, child is children[-1]) for child in reversed(children)]
        elif effect.effects:
            yield f"{_NO_TIME}  {indent}… more below; --depth shows it"


def _line(event: DomainEvent, depth: int) -> str:
    return _words(event, "  " * (depth - 1) + "└ " if depth else "")


def _words(event: DomainEvent, branch: str) -> str:
    return (
        f"{clock_time(event.ts_ingress)}  {branch}{event.event_id} {type_name(event)} {describe_event(event)}".rstrip()
    )
