"""Measures how long it takes to resume a run, by its length.

    python tools/time_to_resume.py 10000 100000
    python tools/time_to_resume.py --live 10000 100000
    python tools/time_to_resume.py --from-snapshots 10000000

Makes a run on the simulated market for each number of events, stops it there, and resumes copies of it: from the
snapshot that the stop took; from the one before it, as after a kill; without snapshots, which executes the record
again; and with other code, which restores the state from the record. Prints seconds of the processor: to open the run,
which includes reading the tape and restoring the snapshot, and from then on until the run continues. Uses a temporary
folder. With ``--live``, the runs send orders to an exchange on localhost; the time to ask it when they are resumed is
left out. ``--from-snapshots`` leaves out the last two resumes, which take as long as the run.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from tickdeck import bootstrap
from tickdeck.bootstrap import LiveRun, Session, resume_run, start_live_run, start_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.risk import RiskLimits
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.config import RunConfig, StrategyConfig

STRATEGIES = (StrategyConfig(spec="ema-cross"), StrategyConfig(spec="market-maker"))
LARGE = Decimal(10**9)


def main(lengths: list[int], *, live: bool, only_snapshots: bool) -> None:
    own = bootstrap.strategies.code_digest  # type: ignore[attr-defined]
    print("events        stopped         killed          without snapshots   with other code")
    for length in lengths:
        with tempfile.TemporaryDirectory() as data:
            folder = asyncio.run(make_live(Path(data), length)) if live else make(Path(data), length)
            place = Path(data)
            bootstrap.strategies.code_digest = own  # type: ignore[attr-defined]
            found = [resume(folder, place / "stopped"), resume(folder, place / "killed", forget=1)]
            if not only_snapshots:
                found.append(resume(folder, place / "without", forget=2))
                bootstrap.strategies.code_digest = lambda: "other"  # type: ignore[attr-defined]
                found.append(resume(folder, place / "other"))
            figures = (f"{opened:>4.1f} + {ran:>4.1f}" for opened, ran in found)
            print(f"{length:>9,}   ", "     ".join(figures), flush=True)


def make(data: Path, events: int) -> Path:
    run = start_run(RunConfig(strategies=STRATEGIES, duration=Decimal(events)), data)
    drive(run, lambda: run.kernel.seq >= events)
    return run.folder


async def make_live(data: Path, events: int) -> Path:
    os.environ |= {"DEMO_API_KEY": "demo-key", "DEMO_API_SECRET": "demo-secret"}
    limits = RiskLimits(max_order_notional=LARGE, max_position_notional=LARGE, max_daily_loss=LARGE)
    async with open_venue(("BTCUSDT",), seed=1, speed=50) as venue:
        config = RunConfig(
            strategies=STRATEGIES,
            exchange="binance",
            exchange_url=venue.url,
            live=True,
            accounts={"main": AccountConfig(exchange="binance", credentials="env:DEMO")},
            risk=limits,
            state_every=10_000,
        )
        run = start_live_run(config, data)

        def stop(_: int) -> None:
            if run.kernel.seq >= events:
                run.driver.request_stop()

        try:
            await run.drive(None, progress=stop)
        finally:
            run.close()
    return run.folder


def resume(folder: Path, place: Path, *, forget: int = 0) -> tuple[float, float]:
    """Seconds of the processor to open the run without its newest ``forget`` snapshots, and from then on until it
    continues."""
    copy = shutil.copytree(folder, place / folder.name)
    for newest in sorted((copy / "states").glob("*"), key=lambda path: -int(path.stem))[:forget]:
        newest.unlink()
    began = time.process_time()
    run = resume_run(copy)
    read = time.process_time()
    if isinstance(run, LiveRun):
        asyncio.run(run.driver.begin())
        run.close()
    else:
        drive(run, run.caught_up)
    return read - began, time.process_time() - read


def drive(run: Session, enough: Callable[[], bool]) -> None:
    def stop(_: int) -> None:
        if enough():
            run.driver.request_stop()

    try:
        asyncio.run(run.drive(None, progress=stop))
    finally:
        run.close()


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    main(
        [int(word) for word in words] or [10_000, 100_000],
        live="--live" in sys.argv,
        only_snapshots="--from-snapshots" in sys.argv,
    )
