"""Events and what they caused, drawn as lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tickdeck.application.bus import type_name
from tickdeck.interfaces.cli.describing import describe_event
from tickdeck.interfaces.cli.times import clock_time

if TYPE_CHECKING:
    from tickdeck.application.proof import Effect
    from tickdeck.domain.events import DomainEvent

__all__ = ["chain", "effect_lines"]

_OLDEST, _NEWEST = 4, 12
"""Of a chain that is longer than both together, so many events are shown from either end."""
_NO_TIME = " " * 12


def chain(events: Sequence[DomainEvent], *, marked: bool = False) -> list[str]:
    """A line an event, each a step further in than its cause, which stands above it; the last one ``marked``."""
    lines = _chain(events)
    return [*lines[:-1], _mark(lines[-1])] if marked else lines


def _mark(line: str) -> str:
    """Between the time and the rest."""
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
    """The tree of effects, ``depth`` levels of it, in order of ``seq`` on each.

    It hangs from the line ``below`` of a chain, counted from 0.
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
            yield f"{_NO_TIME}  {indent}… and so on; --depth shows more"


def _line(event: DomainEvent, depth: int) -> str:
    return _words(event, "  " * (depth - 1) + "└ " if depth else "")


def _words(event: DomainEvent, branch: str) -> str:
    return (
        f"{clock_time(event.ts_ingress)}  {branch}{event.event_id} {type_name(event)} {describe_event(event)}".rstrip()
    )
