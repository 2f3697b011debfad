"""Helpers of the gates for runs: make them, read their tapes to the last byte, tamper with them, prove them."""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from folding import assert_folds
from ledger import assert_ledger

from tickdeck.application.clock import WallClock
from tickdeck.application.drivers import simulation
from tickdeck.application.engines import AccountBus
from tickdeck.application.proof import Divergence, Verdict, trace
from tickdeck.bootstrap import Run, open_record, resume_run, start_run, verify_run
from tickdeck.bootstrap.account_engines import AccountEngines
from tickdeck.domain.events import DomainEvent
from tickdeck.infrastructure.config import RunConfig, StrategyConfig, TapeConfig
from tickdeck.infrastructure.runs.ending import END
from tickdeck.infrastructure.runs.folder import MANIFEST
from tickdeck.infrastructure.tape import SqliteTapeReader
from tickdeck.infrastructure.tape.digest import RecordLines, TapeDigest
from tickdeck.infrastructure.triggers import TriggerConfig

HERE = Path(__file__).resolve().parent
STRATEGIES = HERE / "gate_strategies.py"
CAPTURES = ("binance-spot-BTCUSDT-20240808.raw.gz", "binance-spot-ETHUSDT-20240808.raw.gz")


def config(*strategies: str, seconds: int = 20, tapes: tuple[Path, ...] = (), **settings: Any) -> RunConfig:
    """A run of built-in strategies, of classes of ``gate_strategies``, or of full specs."""
    specs = (name if "-" in name or ":" in name else f"{STRATEGIES}:{name}" for name in strategies)
    return RunConfig(
        strategies=tuple(StrategyConfig(spec=spec) for spec in specs),
        tapes=tuple(TapeConfig(path=str(tape)) for tape in tapes),
        duration=Decimal(seconds),
        **settings,
    )


def head_of_capture(shared: Path, tmp_path: Path, lines: int = 3_000) -> Path:
    """A small input file that a test may change."""
    short = tmp_path / "BTCUSDT.raw"
    with gzip.open(shared / "market-data" / CAPTURES[0], "rb") as whole, short.open("wb") as file:
        file.writelines(islice(whole, lines))
    return short


DIP = StrategyConfig(
    spec="rules",
    name="dip",
    parameters={
        "enter": "rsi(3, 250ms) < 40 and close(500ms) > 0",
        "exit": "price crosses_above ema(5, 250ms) or time >= 00:00:06 UTC",
        "quantity": "0.002",
        "stop_loss": "0.1%",
        "cooldown": "300ms",
        "trades_a_day": 20,
    },
)
"""A strategy without code, for the simulated market."""
TRIGGERS = (
    TriggerConfig(
        name="level",
        when="price(BTCUSDT) crosses_above ema(BTCUSDT, 5, 250ms)",
        then="notify",
        once=False,
        every="500ms",
    ),
    TriggerConfig(name="once", when="equity > 0 and position(ETHUSDT) != 0 and pnl_pct(dip) < 50", then="pause dip"),
    TriggerConfig(name="back", when="time >= 00:00:03 UTC", then="activate dip", expires="7s"),
    TriggerConfig(name="order", when="high(ETHUSDT, 500ms) > 0", then="buy ETHUSDT 0.01"),
    TriggerConfig(name="short", when="price(BTCUSDT) < 1", then="halt", expires="2s"),
)
"""Triggers of every kind, for the simulated market with two symbols."""
SIMULATED = config("Busy", "ema-cross", "Faulty", symbols=("BTCUSDT", "ETHUSDT"), seconds=12, state_every=400)
"""An eventful run of some thousand events, with snapshots."""


# -- in this process --------------------------------------------------------------------------------------------


def finish(run: Run, *, speed: float | None = None, stop: Callable[[], bool] = lambda: False) -> Run:
    """Execute a run, optionally until ``stop()``, and close it in any case. Its state is what its tape contains."""
    try:
        asyncio.run(run.simulation.run(speed, stop=stop))
    finally:
        run.close()
    core = run.core
    taken = run.kernel.seq  # a resumed run that was stopped early has not caught up with its tape
    for account in core.accounts:
        is_ours = account.bus.is_ours if isinstance(account.bus, AccountBus) else lambda event: True
        assert_folds(
            (event for event in run.tape.read() if event.seq <= taken and is_ours(event)),
            execution=account.execution,
            portfolio=account.portfolio,
            risk=account.risk,
            strategies=core.strategies,
        )
    if run.simulation.completed:
        assert_ledger(run)
    return run


def play(wanted: RunConfig, data: Path, *, speed: float | None = None, wall: WallClock | None = None) -> Run:
    """A new run, from its start to its end."""
    return finish(start_run(wanted, data, wall=wall), speed=speed)


def play_until(wanted: RunConfig, data: Path, inputs: int) -> Path:
    """The folder of a run that was stopped from outside after some ``inputs``."""
    run = start_run(wanted, data)
    with looking_up_often():
        return finish(run, stop=lambda: run.kernel.inputs >= inputs).folder


@contextmanager
def looking_up_often() -> Iterator[None]:
    """Make runs check every few inputs whether to stop, instead of every few thousand. That changes no event."""
    turn, simulation._TURN = simulation._TURN, 32
    try:
        yield
    finally:
        simulation._TURN = turn


def resume(folder: Path) -> Run:
    return finish(resume_run(folder))


def state(run: Run) -> dict[str, Any]:
    """Orders, positions and money of a run at its end, as JSON."""
    if len(run.core.accounts) > 1:
        return {one.account_id: _state(one) for one in run.core.accounts}
    return _state(run.core.accounts[0])


def _state(engines: AccountEngines) -> dict[str, Any]:
    account, portfolio = engines.portfolio.account, engines.portfolio
    return msgspec.to_builtins(
        {
            "orders": {
                order.order_id: [order.status, order.filled, order.notional]
                for order in engines.execution.orders.values()
            },
            "positions": {p.symbol: [p.quantity, p.cost, p.realized_pnl] for p in account.positions.values()},
            "balances": account.balances,
            "fees": account.fees(),
            "pnl": [account.realized_pnl(), portfolio.unrealized_pnl()],
            "equity": portfolio.equity(),
        }
    )


# -- tapes ------------------------------------------------------------------------------------------------------


def tape_of(folder: Path) -> Path:
    return folder / "tape.db"


def look_at(folder: Path) -> closing[sqlite3.Connection]:
    """Open a tape without other connections: they would move its log, which is up to a resumed run."""
    return closing(sqlite3.connect(f"{tape_of(folder).as_uri()}?mode=ro", uri=True))


def has_tables(folder: Path) -> bool:
    """The tape was created, and its writer was not killed before it contained anything."""
    if not tape_of(folder).exists():
        return False
    with look_at(folder) as connection:
        return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def rows(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables of a tape in order, text as bytes."""
    with look_at(folder) as connection:
        connection.text_factory = bytes
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return {
            name.decode(): connection.execute(f"SELECT * FROM {name.decode()} ORDER BY rowid").fetchall()
            for (name,) in tables
        }


def dump(folder: Path) -> list[str]:
    """A tape as SQL: its schema and its whole content."""
    with look_at(folder) as connection:
        return list(connection.iterdump())


def tamper(folder: Path, statement: str, *parameters: object, count: int = 1) -> None:
    """Change this many rows of a tape without Tickdeck."""
    with closing(sqlite3.connect(tape_of(folder))) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        changed = connection.execute(statement, parameters).rowcount
    assert changed == count, f"{changed} rows were changed"


def forge_digest(folder: Path) -> None:
    """Correct the digest of a tampered tape, as a forger would, and remove how the run ended, so that only the other
    checks can find the change.
    """
    (folder / END).unlink(missing_ok=True)
    with SqliteTapeReader(tape_of(folder)) as tape:
        digest = TapeDigest().after(RecordLines(list(tape.records())))
        last_seq = tape.last_seq
    mark = digest.mark()
    ends = [*digest.filled, (mark.events, last_seq, mark.digest)]
    with closing(sqlite3.connect(tape_of(folder))) as connection, connection:
        connection.execute("DELETE FROM blocks")
        connection.executemany(
            "INSERT INTO blocks VALUES (?, ?, ?, ?)", [(number, *end) for number, end in enumerate(ends, 1)]
        )


def first_seq(folder: Path, event_type: str, after: int = 0) -> int:
    """The position of the first event of a type on a tape."""
    with look_at(folder) as connection:
        seq: int | None = connection.execute(
            "SELECT min(seq) FROM events_readable WHERE event_type = ? AND seq > ?", (event_type, after)
        ).fetchone()[0]
    assert seq is not None, f"no {event_type} on the tape"
    return seq


def event_at(folder: Path, seq: int) -> DomainEvent:
    with SqliteTapeReader(tape_of(folder)) as tape:
        return next(event for event in tape.read() if event.seq == seq)


def raw_payload(folder: Path, seq: int) -> str:
    row = next(row for row in rows(folder)["events"] if row[0] == seq)
    return row[-1].decode()


def with_other_digit(payload: str, field: str) -> str:
    """The payload with a different first digit of a field's value."""
    at = payload.index(f'"{field}":') + len(field) + 3
    at += payload[at] == '"'
    return payload[:at] + ("8" if payload[at] != "8" else "9") + payload[at + 1 :]


def put_payload(folder: Path, seq: int, payload: str) -> None:
    tamper(folder, "UPDATE events SET payload = ? WHERE seq = ?", payload, seq)


# -- proof ------------------------------------------------------------------------------------------------------


def verdict_of(folder: Path) -> Verdict:
    return verify_run(folder)[0]


def causes(folder: Path, divergence: Divergence) -> list[DomainEvent]:
    """The chain of causes of the first difference, from the direct cause back to an input from outside."""
    sides = (divergence.recorded, divergence.executed)
    causation_id = next((side.causation_id for side in sides if side is not None and side.causation_id), None)
    if causation_id is None:
        return []  # it has no cause: an input from outside
    found = trace(lambda: open_record(folder), causation_id)
    return [found.event, *found.causes]


def prove(folder: Path) -> None:
    """Fails and shows the first difference with its causes if a run is not identical."""
    verdict, changes = verify_run(folder)
    if verdict.identical:
        return
    divergence = verdict.divergence
    assert divergence is not None
    told = [f"{folder}: not identical at seq {divergence.seq} {changes}"]
    told += [f"    recorded {divergence.recorded}", f"    executed {divergence.executed}"]
    told += [f"    because of {event}" for event in causes(folder, divergence)]
    raise AssertionError("\n".join(told))


def prove_all(data: Path, meant_to_differ: Collection[Path] = ()) -> int:
    """Prove every run under a folder, except the named ones and those without a tape. Returns how many."""
    folders = [manifest.parent for manifest in data.rglob(MANIFEST)]
    wanted = [folder for folder in sorted(folders) if folder not in meant_to_differ and has_tables(folder)]
    for folder in wanted:
        prove(folder)
    return len(wanted)
