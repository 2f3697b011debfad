"""The time from the instant an input is due until its cascade is complete and handed to the tape.

The load is open: inputs are due at a fixed rate whatever the system does, so a delay counts for all inputs that become
due meanwhile (no coordinated omission).
"""

from __future__ import annotations

import select
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import chain, cycle
from pathlib import Path

from tickdeck.application.bus import Ingress
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import DomainEvent, TickEvent, VenueFillReported
from tickdeck.domain.values import Side
from tickdeck.infrastructure.tape import SqliteTape
from tickdeck.interfaces.bench.bus import make_handlers
from tickdeck.interfaces.bench.samples import SYMBOL, ticks
from tickdeck.interfaces.bench.session import Figures, Session

__all__ = ["burst_latency", "steady_latency"]

_SECOND = 1_000_000_000
_CHUNK = 16
"""Inputs handled between two checks for new ones."""
_URGENT_PER_SECOND = 1_000
_LEAD_IN = 20_000_000  # ns from the start of the driver to the first input


class Latencies:
    """Counts per microsecond, up to one second. Memory does not grow with the number of inputs."""

    def __init__(self) -> None:
        self.largest = 0
        self.count = 0
        self._counts = array("q", bytes(8 * 1_000_001))

    def add(self, ns: int) -> None:
        self.count += 1
        if ns > self.largest:
            self.largest = ns
        us = ns // 1_000
        self._counts[us if us < 1_000_000 else 1_000_000] += 1

    def quantile_ms(self, part: float) -> float:
        """The upper end of the microsecond that contains the quantile ``part``; beyond one second, the largest
        latency."""
        wanted, seen = part * self.count, 0
        for us, number in enumerate(self._counts[:-1]):
            seen += number
            if seen >= wanted:
                return min((us + 1) / 1_000, self.largest / 1e6)
        return self.largest / 1e6

    def figures(self, prefix: str = "") -> Figures:
        return {
            f"{prefix}p50_ms": self.quantile_ms(0.5),
            f"{prefix}p99_ms": self.quantile_ms(0.99),
            f"{prefix}max_ms": self.largest / 1e6,
        }


def drive(
    arrivals: Iterator[tuple[int, DomainEvent]], ingress: Ingress, handle: Callable[[DomainEvent], object]
) -> tuple[Latencies, Latencies]:
    """Submit each event at its time (ns from now), and always handle the most urgent one. Returns the latencies of
    market data and of the others.

    While nothing is due, the driver yields like an event loop, so that the tape's thread can run.
    """
    clock, put, take, wait = time.perf_counter_ns, ingress.put, ingress.take, select.select
    market, urgent = Latencies(), Latencies()
    market_due: deque[int] = deque()  # of what waits, in its order
    urgent_due: deque[int] = deque()
    start = clock() + _LEAD_IN
    following = next(arrivals, None)
    while following is not None or market_due or urgent_due:
        now = clock() - start
        while following is not None and following[0] <= now:
            due, event = following
            (market_due if event.is_market_data else urgent_due).append(due)
            put(event)
            following = next(arrivals, None)
        for _ in range(_CHUNK):
            taken = take()
            if taken is None:
                wait((), (), (), 0)
                break
            handle(taken)
            done = clock() - start
            if taken.is_market_data:
                market.add(done - market_due.popleft())
            else:
                urgent.add(done - urgent_due.popleft())
    return market, urgent


def _at_rate(start: int, end: int, rate: int, events: Iterable[DomainEvent]) -> Iterator[tuple[int, DomainEvent]]:
    return zip(range(start, end, _SECOND // rate), cycle(events), strict=False)


def _fills(count: int) -> list[DomainEvent]:
    return [
        VenueFillReported(
            order_id=f"td{number:026d}",
            symbol=SYMBOL,
            account_id="main",
            side=Side.BUY,
            price=Decimal("60000.01"),
            quantity=Decimal("0.01"),
            venue_trade_id=str(number),
            fee=Decimal("0.6"),
            fee_currency="USDT",
            liquidity="taker",
            source="venue",
        )
        for number in range(count)
    ]


class _Recorded:
    """A kernel that records every input on a tape, with a handler for each kind of input."""

    def __init__(self, folder: str) -> None:
        self._path = Path(folder) / "tape.db"
        self.tape = SqliteTape(self._path)
        self.kernel = Kernel(tape=self.tape)
        for topic in (TickEvent, VenueFillReported):
            self.kernel.subscribe(topic, make_handlers(1)[0])

    def drive(self, arrivals: Iterator[tuple[int, DomainEvent]]) -> tuple[Latencies, Latencies]:
        return drive(arrivals, self.kernel.ingress, self.kernel.feed)

    def close(self) -> None:
        """Check that everything was recorded, and remove the tape."""
        self.tape.close()
        assert self.tape.durable_seq == self.kernel.seq
        self._path.unlink()


def steady_latency(*, rate: int, seconds: float, folder: str) -> Session:
    """Milliseconds (p99) at ``rate`` inputs per second. The ceiling is the driver alone: the machine's own share."""
    events = list(ticks(1_000))

    def session() -> Figures:
        bare, _ = drive(
            _at_rate(0, int(max(seconds / 10, 0.1) * _SECOND), rate, events), Ingress(), make_handlers(1)[0]
        )
        recorded = _Recorded(folder)
        market, _ = recorded.drive(_at_rate(0, int(seconds * _SECOND), rate, events))
        recorded.close()
        return {"value": market.quantile_ms(0.99), "ceiling": bare.quantile_ms(0.99), **market.figures()}

    return session


def burst_latency(*, rate: int, seconds: float, folder: str) -> Session:
    """Milliseconds (p99) for fills, the most urgent inputs, while ten times ``rate`` inputs per second arrive for
    ``seconds``. ``market_*`` are the latencies of market data before, during and after the burst."""
    events = list(ticks(1_000))
    start, end = int(seconds * _SECOND), 2 * int(seconds * _SECOND)
    urgent = _fills(int(seconds * _URGENT_PER_SECOND))

    def arrivals() -> Iterator[tuple[int, DomainEvent]]:
        """Merged before the clock starts."""
        market = chain(
            _at_rate(0, start, rate, events),
            _at_rate(start, end, 10 * rate, events),
            _at_rate(end, end + start, rate, events),
        )
        spacing = (end - start) // len(urgent)
        fills = zip(range(start, end, spacing), urgent, strict=False)
        return iter(sorted(chain(market, fills), key=lambda arrival: arrival[0]))

    def session() -> Figures:
        _, bare_urgent = drive(arrivals(), Ingress(), make_handlers(1)[0])
        recorded = _Recorded(folder)
        market, fills = recorded.drive(arrivals())
        recorded.close()
        return {
            "value": fills.quantile_ms(0.99),
            "ceiling": bare_urgent.quantile_ms(0.99),
            **fills.figures(),
            **market.figures("market_"),
        }

    return session
