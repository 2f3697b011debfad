"""The table of measurements: each row's goal, and what its figures include."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import msgspec

from tickdeck.errors import ConfigError

__all__ = ["ROWS", "Goal", "Part", "Row", "select_rows"]

_HERE = "tickdeck.interfaces.bench"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker process runs: ``module:function`` (for another library only the function), with parameters.

    ``quick``: parameters that differ for small sizes. ``needs_folder``: pass a ``folder``. ``timeout``: seconds for a
    repetition. ``module``: the package that another library needs. ``in_it``: what that library does for its figure.
    """

    target: str
    parameters: dict[str, Any] = {}
    quick: dict[str, Any] = {}
    needs_folder: bool = False
    timeout: float = 120.0
    module: str = ""
    in_it: str = ""

    def is_installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A bound for ``value``, ``ratio``, another figure of the row, or (with a peer's name) the factor over that
    peer."""

    text: str
    of: str = "value"
    at_least: float | None = None
    below: float | None = None

    def is_met(self, known: Mapping[str, float | None]) -> bool | None:
        """``None`` if the figure is unknown."""
        figure = known.get(self.of)
        if figure is None:
            return None
        return (self.at_least is None or figure >= self.at_least) and (self.below is None or figure < self.below)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table. The first ``warm_up`` repetitions do not count."""

    name: str
    what: str
    unit: str
    part: Part
    in_it: str
    ceiling_is: str = ""
    peers: dict[str, Part] = {}
    goals: tuple[Goal, ...] = ()
    more_is_better: bool = True
    runs: int = 5
    quick_runs: int = 1
    warm_up: int = 0


def _bus_peers(handlers: int) -> dict[str, Part]:
    def peer(name: str, module: str, in_it: str, count: int = 200_000, **more: Any) -> Part:
        return Part(
            target=name,
            parameters={"handlers": handlers, "count": count // handlers},
            quick={"count": max(count // 200, 20)},
            module=module,
            in_it=in_it,
            **more,
        )

    return {
        "nautilus_trader": peer(
            "nautilus_bus",
            "nautilus_trader",
            "MessageBus.publish (Cython): topics with wildcards, priorities, counters; "
            "a handler's error reaches the publisher; no ids, no tape",
        ),
        "pyee": peer(
            "pyee_bus", "pyee", "EventEmitter.emit: a lock; a handler's error reaches the publisher; no ids, no tape"
        ),
        "blinker": peer(
            "blinker_bus",
            "blinker",
            "Signal.send: by sender, weak references; a handler's error reaches the sender; no ids, no tape",
        ),
        "vnpy": peer(
            "vnpy_bus",
            "vnpy_evo",
            "EventEngine.put: a queue and a thread of its own; one error ends that thread; no ids, no tape",
        ),
        "bubus": peer(
            "bubus_bus",
            "bubus",
            "dispatch and await: pydantic events with ids and parents, results and history kept, asyncio; no tape",
            count=1_000,
            timeout=60.0,
        ),
    }


def _tape(function: str, count: int, quick: int) -> Part:
    return Part(
        target=f"{_HERE}.tape:{function}", parameters={"count": count}, quick={"count": quick}, needs_folder=True
    )


def _latency(function: str, rate: int, seconds: float, quick: float) -> Part:
    return Part(
        target=f"{_HERE}.latency:{function}",
        parameters={"rate": rate, "seconds": seconds},
        quick={"seconds": quick},
        needs_folder=True,
        timeout=300.0,
    )


def _backtest(*, preloaded: bool) -> Part:
    return Part(
        target=f"{_HERE}.backtest:backtest",
        parameters={"count": 300_000, "preloaded": preloaded},
        quick={"count": 5_000},
        needs_folder=True,
    )


def _frames(kind: str, what: str) -> Row:
    def peer(name: str, module: str, in_it: str) -> Part:
        return Part(
            target=name,
            parameters={"kind": kind, "count": 20_000},
            quick={"count": 1_000},
            module=module,
            in_it=in_it,
        )

    return Row(
        name=f"frames-{kind}",
        what=f"raw frames of Binance to validated events: {what}",
        unit="frames/s",
        part=Part(
            target=f"{_HERE}.frames:frames",
            parameters={"kind": kind, "count": 100_000},
            quick={"count": 2_000},
        ),
        in_it="FrameDecoder.decode: the stream's name, JSON, Decimals, an event with all checks of its fields",
        ceiling_is="msgspec's decoder of the same messages, with Decimals, into structs without checks",
        peers={
            "cryptofeed": peer(
                "cryptofeed_frames",
                "cryptofeed",
                "Binance.message_handler to a callback: yapic's JSON, Decimals, its types (Cython); of best prices no "
                "quantities; its trades are aggTrades",
            ),
            "ccxt.pro": peer(
                "ccxt_frames", "ccxt", "its client's parser (orjson) and binance.handle_message: floats, its caches"
            ),
        },
        goals=(
            *((Goal(text="at least 0.55 M/s", at_least=0.55e6),) if kind == "bookTicker" else ()),
            Goal(text="at least 1.5 x cryptofeed", of="cryptofeed", at_least=1.5),
            Goal(text="at least 12 x ccxt.pro", of="ccxt.pro", at_least=12.0),
        ),
        warm_up=1,
    )


_BUS = (
    "InMemoryEventBus(stamp=False).publish: handlers by type, class and wildcard, priorities, isolation of errors, "
    "counters; no ids, no tape"
)
_STAMPED_BUS = (
    "InMemoryEventBus.publish with default settings: the same, and each event is copied and gets an id, a "
    "correlation id and the time of day; no tape"
)
_BARE_DISPATCH = "a dict from type to a list of handlers, and a loop over them"
_RECORDED = (
    "ingress with lanes, kernel (ids, causes, clock, cascade), one handler, JSON, and the tape's thread; from the "
    "moment an input is due until its cascade is handed to the tape; everything is durable at the end"
)
_DRIVER = "the driver with the ingress, without kernel and tape: how much the machine adds"
_BACKTEST = (
    "every part of a run: market data engine with the check of trade ids, strategy, risk limits, execution, paper "
    "venue with latencies and fees, portfolio, equity samples, ids and causes, and a durable tape with everything "
    "except the trades"
)

ROWS = (
    Row(
        name="bus-1",
        what="bus, publish to 1 sync handler",
        unit="events/s",
        part=Part(target=f"{_HERE}.bus:bus", parameters={"handlers": 1, "count": 500_000}, quick={"count": 5_000}),
        in_it=_BUS,
        ceiling_is=_BARE_DISPATCH,
        peers=_bus_peers(1),
        goals=(
            Goal(text="at least 2.1 M/s", at_least=2.1e6),
            Goal(text="at least 3 x nautilus_trader", of="nautilus_trader", at_least=3.0),
        ),
        warm_up=1,
    ),
    Row(
        name="bus-1-stamped",
        what="bus, publish to 1 sync handler, with ids and times",
        unit="events/s",
        part=Part(
            target=f"{_HERE}.bus:bus",
            parameters={"handlers": 1, "count": 500_000, "stamp": True},
            quick={"count": 5_000},
        ),
        in_it=_STAMPED_BUS,
        ceiling_is=_BARE_DISPATCH,
        warm_up=1,
    ),
    Row(
        name="bus-10",
        what="bus, publish to 10 sync handlers",
        unit="deliveries/s",
        part=Part(target=f"{_HERE}.bus:bus", parameters={"handlers": 10, "count": 100_000}, quick={"count": 1_000}),
        in_it=_BUS,
        ceiling_is=_BARE_DISPATCH,
        peers=_bus_peers(10),
        goals=(Goal(text="at least 10 M/s", at_least=10e6),),
        warm_up=1,
    ),
    Row(
        name="kernel",
        what="the whole kernel, with a tape that stores nothing",
        unit="events/s",
        part=Part(target=f"{_HERE}.bus:kernel", parameters={"count": 200_000}, quick={"count": 2_000}),
        in_it="Kernel.feed of a trade whose handler publishes a prepared signal: both are copied and stamped with "
        "ids, causes and times; cascades, isolation of errors, counters; a tape that stores nothing",
        ceiling_is="a copy of each event and a call of its handler",
        goals=(Goal(text="at least 0.7 M/s", at_least=0.7e6),),
        warm_up=1,
    ),
    Row(
        name="tape-append",
        what="tape: durable append, four indexes, group commit",
        unit="events/s",
        part=_tape("tape_append", 100_000, 2_000),
        in_it="SqliteTape.append of stamped trades and orders one cascade at a time (JSON, stream versions, order of "
        "seq), until everything is durable",
        ceiling_is="executemany of the same prepared rows, in transactions of the same size; same pragmas",
        goals=(Goal(text="at least 0.6 of bare", of="ratio", at_least=0.6),),
        runs=7,
        warm_up=1,
    ),
    Row(
        name="tape-one",
        what="tape: one event, durable",
        unit="events/s",
        part=_tape("tape_one", 400, 100),
        in_it="append and wait_durable, one cascade after another",
        ceiling_is="BEGIN, INSERT of the prepared row, COMMIT with synchronous=FULL, same disk",
        goals=(Goal(text="at least 0.6 of bare", of="ratio", at_least=0.6),),
        runs=15,
    ),
    Row(
        name="tape-read",
        what="tape: read back as typed events",
        unit="events/s",
        part=_tape("tape_read", 200_000, 2_000),
        in_it="SqliteTapeReader.read in short transactions: events with all checks of their fields",
        ceiling_is="one SELECT and msgspec's decoder of the same classes, with the same checks",
        peers={
            "eventsourcing": Part(
                target="eventsourcing_read",
                parameters={"count": 20_000},
                quick={"count": 1_000},
                needs_folder=True,
                module="eventsourcing",
                in_it="EventStore.get of one aggregate from SQLite, with a msgspec transcoder; checks by msgspec alone",
            )
        },
        goals=(Goal(text="at least 0.7 M/s", at_least=0.7e6),),
        warm_up=1,
    ),
    Row(
        name="tape-jsonl-append",
        what="tape in JSON Lines: durable append, group commit",
        unit="events/s",
        part=_tape("tape_jsonl_append", 200_000, 2_000),
        in_it="JsonlTape.append of the same cascades as in tape-append (JSON, checksums, stream versions, order of "
        "seq), until everything is durable",
        ceiling_is="the same prepared lines, with one write and one fdatasync for the same number of lines",
        goals=(Goal(text="at least 0.4 M/s", at_least=0.4e6),),
        runs=7,
        warm_up=1,
    ),
    Row(
        name="tape-jsonl-read",
        what="tape in JSON Lines: read back as typed events",
        unit="events/s",
        part=_tape("tape_jsonl_read", 200_000, 2_000),
        in_it="JsonlTapeReader.read: every checksum verified, events with all checks of their fields",
        ceiling_is="msgspec's decoder of the same classes, with the same checks, on payloads in memory",
        goals=(Goal(text="at least 0.7 M/s", at_least=0.7e6),),
        warm_up=1,
    ),
    Row(
        name="latency-10k",
        what="latency, recorded, steady 10 k/s (p99)",
        unit="ms",
        part=_latency("steady_latency", 10_000, 60.0, 0.2),
        in_it=_RECORDED,
        ceiling_is=_DRIVER,
        goals=(Goal(text="p99 below 0.2 ms", below=0.2),),
        more_is_better=False,
        runs=1,
    ),
    Row(
        name="latency-100k",
        what="latency, recorded, steady 100 k/s (p99)",
        unit="ms",
        part=_latency("steady_latency", 100_000, 60.0, 0.1),
        in_it=_RECORDED,
        ceiling_is=_DRIVER,
        goals=(Goal(text="p99 below 1 ms", below=1.0),),
        more_is_better=False,
        runs=1,
    ),
    Row(
        name="latency-burst",
        what="latency, recorded, of fills (P0) in a burst from 10 k/s to 100 k/s (p99)",
        unit="ms",
        part=_latency("burst_latency", 10_000, 1.0, 0.1),
        in_it=_RECORDED,
        ceiling_is=_DRIVER,
        goals=(Goal(text="p99 below 1 ms", below=1.0),),
        more_is_better=False,
    ),
    Row(
        name="latency-overload",
        what="latency, recorded, of fills (P0) in a burst from 100 k/s to 1 M/s, more than it can process (p99)",
        unit="ms",
        part=_latency("burst_latency", 100_000, 1.0, 0.02),
        in_it=_RECORDED,
        ceiling_is=_DRIVER,
        more_is_better=False,
        runs=3,
    ),
    Row(
        name="backtest",
        what="backtest, EMA cross, trades preloaded",
        unit="ticks/s",
        part=_backtest(preloaded=True),
        in_it=_BACKTEST,
        peers={
            "nautilus_trader": Part(
                target="nautilus_backtest",
                parameters={"count": 300_000},
                quick={"count": 5_000},
                module="nautilus_trader",
                in_it="BacktestEngine.run with the same trades and strategy (in Python): risk engine, fees, portfolio; "
                "logging off, no latencies, nothing recorded",
            )
        },
        goals=(
            Goal(text="at least 450 k/s", at_least=450e3),
            Goal(text="at least 4 x nautilus_trader", of="nautilus_trader", at_least=4.0),
        ),
        warm_up=1,
    ),
    Row(
        name="backtest-file",
        what="backtest, EMA cross, trades from a CSV file",
        unit="ticks/s",
        part=_backtest(preloaded=False),
        in_it=f"{_BACKTEST}; and the file: hashing, reading and decoding",
        goals=(Goal(text="at least 250 k/s", at_least=250e3),),
        warm_up=1,
    ),
    *(
        Row(
            name=f"order-{rate // 1_000}k",
            what=f"tick to order over real sockets, {rate:,} frames a second (p99)",
            unit="ms",
            part=Part(
                target=f"{_HERE}.tick_to_order:tick_to_order",
                parameters={"rate": rate, "seconds": 10.0},
                quick={"seconds": 0.5},
            ),
            in_it="from the frame that leaves the venue's process until its signed order is there again: sockets, "
            "decoding, strategy, risk, the order durable on the tape, signing, HTTP",
            goals=(Goal(text=f"p99 below 3 ms at {rate:,}/s", below=3.0),),
            more_is_better=False,
            runs=3,
        )
        for rate in (1_000, 10_000)
    ),
    Row(
        name="matching",
        what="the venue's matching engine, placing and cancelling 2:1",
        unit="operations/s",
        part=Part(
            target=f"{_HERE}.matching:matching",
            parameters={"count": 100_000},
            quick={"count": 2_000},
        ),
        in_it="limit orders of two accounts around one price: filters, locked balances, matching, fees, and the list "
        "of changes, all in Decimal",
        goals=(Goal(text="at least 0.3 M/s", at_least=300e3),),
        warm_up=1,
    ),
    Row(
        name="memory",
        what="growth of memory while 10 M events pass through bus and tape",
        unit="MB",
        part=Part(
            target=f"{_HERE}.memory:memory",
            parameters={"count": 10_000_000},
            quick={"count": 20_000},
            needs_folder=True,
            timeout=1_800.0,
        ),
        in_it="Kernel.feed of trades to one handler and a tape on disk, after a tenth of them as a warm-up",
        goals=(Goal(text="below 10 MB", below=10.0),),
        more_is_better=False,
        runs=1,
    ),
    _frames("bookTicker", "best bid and ask"),
    _frames("trade", "a trade"),
    _frames("depth", "four changed levels of a book"),
    Row(
        name="help",
        what="tickdeck --help",
        unit="s",
        part=Part(target=f"{_HERE}.startup:help_text"),
        in_it="a fresh process, from start to exit",
        ceiling_is="python -c pass",
        goals=(Goal(text="below 0.25 s", below=0.25),),
        more_is_better=False,
        runs=11,
        warm_up=1,
    ),
)


def select_rows(name: str | None) -> list[Row]:
    """The rows with this name or prefix (``bus``: all that begin with ``bus-``); ``None``: all.

    Raises ``ConfigError`` if there are none.
    """
    found = [row for row in ROWS if name is None or row.name == name] or [
        row for row in ROWS if row.name.startswith(f"{name}-")
    ]
    if not found:
        raise ConfigError(f"bench: there is no row {name!r}; the rows are {', '.join(row.name for row in ROWS)}")
    return found
