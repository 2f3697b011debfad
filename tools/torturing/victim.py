"""The program of a run that is to be killed: ``tickdeck``, with a point at which the process kills itself.

``TICKDECK_DIE_AT=POINT:N`` names one of ``POINTS`` and how often it is passed. The process prints ``LIVE`` when the run
trades on the live market: points count from then on, but for those of the start. At SIGUSR1 it writes into the file
``TICKDECK_COUNTS`` how many objects and blocks of memory Python has. Nothing of this is in Tickdeck itself.
"""

from __future__ import annotations

import functools
import gc
import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["AT_START", "POINTS"]

IN_FLIGHT_NS, QUERY_LAG_NS = 2_000_000_000, 2_000_000_000
"""After both together, an order that was never received is known to be so: the exchange on localhost lags less."""


class Point(NamedTuple):
    """A method, and whether the process dies before or after it. ``torn``: it dies in the middle of writing a file."""

    module: str
    owner: str
    method: str
    before: bool = False
    torn: bool = False
    at_start: bool = False


_TAPE = "tickdeck.infrastructure.tape"
_FRAMES = "tickdeck.infrastructure.frames"
_VENUE = "tickdeck.infrastructure.exchanges.exchange_venue"
_BINANCE = "tickdeck.infrastructure.exchanges.binance.trading"
POINTS = {
    # In a cascade: an order exists in memory, or the whole cascade does, and nothing is written.
    "cascade": Point("tickdeck.application.engines.execution", "ExecutionEngine", "on_approved"),
    "published": Point("tickdeck.application.kernel.kernel", "Kernel", "publish"),
    "append": Point(f"{_TAPE}.group_commit", "GroupCommitTape", "append", before=True),
    # In a commit: before it, half of the frames written, frames written and events not, within the transaction, after.
    "frames": Point(_FRAMES, "FrameWriter", "sync"),
    "torn-frames": Point(_FRAMES, "FrameWriter", "_put", torn=True),
    "commit": Point(f"{_TAPE}.sqlite.tape", "SqliteTape", "_write", before=True),
    "transaction": Point(f"{_TAPE}.sqlite.tape", "SqliteTape", "_store_digest"),
    "committed": Point(f"{_TAPE}.sqlite.tape", "SqliteTape", "_write"),
    "jsonl-commit": Point(f"{_TAPE}.jsonl.tape", "JsonlTape", "_write", before=True),
    "torn-jsonl": Point(f"{_TAPE}.jsonl.tape", "JsonlTape", "_write", torn=True),
    "jsonl-committed": Point(f"{_TAPE}.jsonl.tape", "JsonlTape", "_write"),
    # Around a request: it is durable and not sent; the exchange took it and nobody heard the answer.
    "send": Point(_VENUE, "ExchangeVenue", "submit", before=True),
    "sent": Point(_BINANCE, "BinanceExchange", "place"),
    "cancel": Point(_BINANCE, "BinanceExchange", "cancel"),
    "queried": Point(_BINANCE, "BinanceExchange", "order"),
    "fills": Point(_BINANCE, "BinanceExchange", "fills"),
    # In a start: the account is known, the past is executed again, doubts are reported.
    "connected": Point(_VENUE, "ExchangeVenue", "connect", at_start=True),
    "caught-up": Point("tickdeck.application.drivers.live", "LiveDriver", "begin", at_start=True),
    "recovered": Point(_VENUE, "ExchangeVenue", "recover", at_start=True),
}
AT_START = frozenset(name for name, point in POINTS.items() if point.at_start)

_live = False


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _wrapped(method: Callable[..., Any], point: Point, times: int) -> Callable[..., Any]:
    passed = 0

    def is_it() -> bool:
        nonlocal passed
        passed += _live or point.at_start
        return passed == times

    @functools.wraps(method)
    def plain(*arguments: Any, **options: Any) -> Any:
        if point.before and is_it():
            _die()
        if point.torn and is_it():
            _tear()
        result = method(*arguments, **options)
        if not (point.before or point.torn) and is_it():
            _die()
        return result

    @functools.wraps(method)
    async def awaited(*arguments: Any, **options: Any) -> Any:
        if point.before and is_it():
            _die()
        result = await method(*arguments, **options)
        if not point.before and is_it():
            _die()
        return result

    return awaited if inspect.iscoroutinefunction(method) else plain


def _tear() -> None:
    """Write half of what is written next, and die."""
    whole = os.pwrite

    def half(fd: int, data: bytes, offset: int) -> int:
        whole(fd, data[: len(data) // 2], offset)
        _die()
        return 0

    os.pwrite = half  # type: ignore[assignment]


def _patch(module: str, owner: str, method: str, replace: Callable[[Any], Any]) -> None:
    """Replace a method. Raises ``AttributeError`` if it does not exist, since the point would never be passed."""
    import importlib

    kind = getattr(importlib.import_module(module), owner)
    setattr(kind, method, replace(inspect.getattr_static(kind, method)))


def _announce(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    async def announced(*arguments: Any, **options: Any) -> Any:
        global _live
        _live = True
        os.write(1, b"LIVE\n")
        return await run(*arguments, **options)

    return announced


def _hurry(capabilities: Any) -> property:
    from msgspec.structs import replace

    short = {"in_flight": IN_FLIGHT_NS, "query_lag": QUERY_LAG_NS}
    return property(lambda exchange: replace(capabilities.fget(exchange), **short))


def _count(*_: object) -> None:
    gc.collect()
    path = Path(os.environ["TICKDECK_COUNTS"])
    counts = path.with_suffix(".new")
    counts.write_text(f"{len(gc.get_objects())} {sys.getallocatedblocks()}")
    counts.rename(path)  # it is read as soon as it is there


def main() -> None:
    """Run ``tickdeck`` with this process's arguments."""
    from tickdeck.interfaces.cli import main as tickdeck

    _patch("tickdeck.application.drivers.live", "LiveDriver", "run", _announce)
    _patch(_BINANCE, "BinanceExchange", "capabilities", _hurry)
    signal.signal(signal.SIGUSR1, _count)
    name, _, times = os.environ.get("TICKDECK_DIE_AT", "").partition(":")
    if name:
        point = POINTS[name]
        _patch(point.module, point.owner, point.method, lambda method: _wrapped(method, point, int(times)))
    tickdeck(prog_name="tickdeck")


if __name__ == "__main__":
    main()
