"""The rows of runs: latency, backtests, orders, memory, frames of a venue."""

from __future__ import annotations

from typing import Any

from tickdeck.interfaces.bench.row import Goal, Part, Row, own_part

__all__ = ["RUN_ROWS"]

_HERE = "tickdeck.interfaces.bench"


def _latency(name: str, load: str, function: str, rate: int, seconds: float, quick: float, **more: Any) -> Row:
    return Row(
        name=f"latency-{name}",
        what=f"latency, recorded, {load} (p99)",
        unit="ms",
        part=Part(
            target=f"{_HERE}.latency:{function}",
            parameters={"rate": rate, "seconds": seconds},
            quick={"seconds": quick},
            needs_folder=True,
            timeout=300.0,
        ),
        in_it="ingress with lanes, kernel (ids, causes, clock, cascade), one handler, JSON, and the tape's thread; "
        "from the moment an input is due until its cascade is handed to the tape; everything is durable at the end",
        ceiling_is="the driver with the ingress, without kernel and tape: how much the machine adds",
        more_is_better=False,
        **more,
    )


def _backtest(*, preloaded: bool) -> Part:
    return own_part("backtest:backtest", 300_000, 5_000, needs_folder=True, preloaded=preloaded)


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
        part=own_part("frames:frames", 100_000, 2_000, kind=kind),
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


def _order_path(*, durable: bool) -> Part:
    return own_part("order_path:order_path", 500, 5, needs_folder=True, durable=durable)


_ORDER_PATH = (
    "from the strategy's call until the request is ready for the socket: risk, execution, the cascade on the tape, "
    "gateway, rate limits, circuit breaker, signing"
)
_BACKTEST = (
    "every part of a run: market data engine with the check of trade ids, strategy, risk limits, execution, paper "
    "venue with latencies and fees, portfolio, equity samples, ids and causes, and a durable tape with everything "
    "except the trades"
)

RUN_ROWS = (
    _latency(
        *("10k", "steady 10 k/s", "steady_latency", 10_000, 60.0, 0.2),
        goals=(Goal(text="p99 below 0.2 ms", below=0.2),),
        runs=1,
    ),
    _latency(
        *("100k", "steady 100 k/s", "steady_latency", 100_000, 60.0, 0.1),
        goals=(Goal(text="p99 below 1 ms", below=1.0),),
        runs=1,
    ),
    _latency(
        *("burst", "of fills (P0) in a burst from 10 k/s to 100 k/s", "burst_latency", 10_000, 1.0, 0.1),
        goals=(Goal(text="p99 below 1 ms", below=1.0),),
    ),
    _latency(
        "overload",
        "of fills (P0) in a burst from 100 k/s to 1 M/s, more than it can process",
        *("burst_latency", 100_000, 1.0, 0.02),
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
    Row(
        name="backtest-order",
        what="CPU of an order in a backtest, with all that it causes",
        unit="us",
        part=own_part("backtest:order_cost", 300_000, 5_000, needs_folder=True),
        in_it="the difference between the CPU time of the whole process in `backtest` and in the same run without "
        "orders, by order: decision, risk, paper venue, reports, fills, portfolio, tape; `events`: how many it causes",
        more_is_better=False,
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
        name="order-path",
        what="decision to signed request, without waiting for the disk (p50)",
        unit="us",
        part=_order_path(durable=False),
        in_it=f"{_ORDER_PATH}; the tape is in memory",
        goals=(Goal(text="p50 below 60 us", below=60.0),),
        more_is_better=False,
        warm_up=1,
    ),
    Row(
        name="order-path-durable",
        what="decision to signed request, durable before it leaves (p50)",
        unit="us",
        part=_order_path(durable=True),
        in_it=f"{_ORDER_PATH}; the order is synced to the tape before it is signed",
        ceiling_is="BEGIN, INSERT of the prepared rows of the same cascade, COMMIT with synchronous=FULL",
        goals=(Goal(text="less than 1.6 times a bare commit", of="ratio", at_least=1 / 1.6),),
        more_is_better=False,
        warm_up=1,
    ),
    Row(
        name="matching",
        what="the venue's matching engine, placing and cancelling 2:1",
        unit="operations/s",
        part=own_part("matching:matching", 100_000, 2_000),
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
    *(
        Row(
            name=f"resume-{count // 1_000}k",
            what=f"resuming a killed run of {count:,} events",
            unit="s of CPU",
            part=own_part("resuming:resume", count, 3_000, needs_folder=True, state_every=2_500),
            in_it="opening the run (reading the tape, restoring the newest snapshot before the kill) and executing "
            "what follows it until the run continues; `behind`: how many events that are",
            ceiling_is="the same without snapshots, which executes the whole run again: no bound, and slower",
            more_is_better=False,
            runs=2,
        )
        for count in (10_000, 100_000)
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
