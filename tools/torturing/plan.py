"""The kills of a stretch, drawn from a seed."""

from __future__ import annotations

import random
from typing import Literal, NamedTuple

from torturing.victim import AT_START, POINTS

__all__ = ["FAULTS", "Kill", "Kind", "drawn_faults", "drawn_kill"]

Kind = Literal["any time", "at a point", "while starting", "while stopping", "after a pause", "venue too", "power cut"]

FAULTS = {
    "drop_ack": "0.1",
    "drop_request": "0.05",
    "http_500": "0.08",
    "unknown_status": "0.08",
    "late_accept": "0.06:7s",
    "duplicate_fill": "0.3",
    "late_fill": "0.3:800ms",
    "lost_fill": "0.2",
    "fill_before_ack": "0.3:100ms",
    "stale_query": "0.3:500ms",
    "disconnect_every": "7s",
    "rate_limit_storm": "0.01:400ms",
    "private_stream_silent": "0.1:2s",
    "gap": "0.005",
    "reorder": "0.005",
    "expire_session": "11s",
}
_EDITED, _COMMANDED, _PAID = 0.08, 0.25, 0.15
_COMMANDS = ("cancel", "cancel", "halt", "strategy-pause", "flatten")
_RARE = ("fills", "queried", "cancel")  # points that are passed less often


class Kill(NamedTuple):
    """How a process ends. ``delay`` (s) counts from when the run is live, or from its start while it starts.

    ``point`` is where it kills itself, with how often it passes there; after ``delay`` seconds it is killed in any
    case. ``down`` (s): how long the exchange is down, how long the process was paused (SIGSTOP), or how
    long after SIGTERM it is killed. ``luck``: what a power cut leaves of unsynced data. ``edited``: the strategy's file
    is edited before the process starts, so it runs other code. ``command``: what an operator sends in the middle.
    ``paid``: what is paid into the account then, such as ``-5 USDT``, or converted there, such as ``5 USDT EUR``.
    """

    kind: Kind
    delay: float
    point: str = ""
    down: float = 0.0
    luck: Literal["lost", "random"] = "lost"
    edited: bool = False
    command: str = ""
    paid: str = ""


def drawn_kill(rng: random.Random, every: float, form: str, *, power_cuts: bool) -> Kill:
    """The next kill. ``every``: the mean time (s) that a run lives. ``form``: of its tape."""
    kill = _drawn_end(rng, every, form, power_cuts=power_cuts)
    command = rng.choice(_COMMANDS) if rng.random() < _COMMANDED else ""
    what = rng.choice(("{} USDT", "{} USDT", "-{} USDT", "{} USDT EUR"))
    paid = what.format(rng.randrange(1, 5_000)) if rng.random() < _PAID else ""
    return kill._replace(edited=rng.random() < _EDITED, command=command, paid=paid)


def _drawn_end(rng: random.Random, every: float, form: str, *, power_cuts: bool) -> Kill:
    delay = rng.uniform(0, 2 * every)
    chance = rng.random()
    if chance < 0.30:
        return Kill("any time", delay)
    if chance < 0.70:
        names = [name for name in POINTS if not _is_foreign(name, form)]
        name = rng.choice(names)
        times = 1 if name in AT_START else rng.randrange(1, 4) if name in _RARE else rng.randrange(1, 30)
        return Kill("at a point", 2 * every, f"{name}:{times}")
    if chance < 0.78:
        return Kill("while starting", rng.uniform(0, 3))
    if chance < 0.83:
        return Kill("while stopping", delay, down=rng.uniform(0, 4))
    if chance < 0.86:
        return Kill("after a pause", delay, down=rng.uniform(1, 15))
    if chance < 0.94 or not power_cuts:
        return Kill("venue too", delay, down=rng.uniform(0, 2))
    return Kill("power cut", delay, luck=rng.choice(("lost", "random")))


def drawn_faults(rng: random.Random, seed: int) -> str:
    """Faults of the exchange: none, one or several."""
    count = rng.choice((0, 1, 2, 3, len(FAULTS)))
    names = sorted(rng.sample(list(FAULTS), count))
    return " ".join((f"seed={seed}", *(f"{name}={FAULTS[name]}" for name in names))) if names else ""


def _is_foreign(point: str, form: str) -> bool:
    """Whether a point belongs to the other form of the tape."""
    if form == "jsonl":
        return point in ("commit", "transaction", "committed")
    return "jsonl" in point
