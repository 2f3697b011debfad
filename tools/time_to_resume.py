"""Measures how long it takes to resume a run, by its length.

    python tools/time_to_resume.py 10000 100000
    python tools/time_to_resume.py --live 10000 100000
    python tools/time_to_resume.py --from-snapshots 10000000

Makes a run on the simulated market for each number of events, stops it there, and resumes copies of it: from the
snapshot that the stop took; from the one before it, as after a kill; without snapshots, which executes the record
again; and with other code, which restores the state from the record. Prints seconds of the processor: to open the run,
which includes reading the tape and restoring the snapshot, and from then on until the run continues; then seconds of
both on the clock. Uses a temporary folder. With ``--live``, the runs send orders to an exchange on localhost; the time
to ask it when they are resumed is left out. ``--from-snapshots`` leaves out the last two resumes, which take as long as
the run.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

from tickdeck import bootstrap
from tickdeck.bootstrap import start_live_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.risk import RiskLimits
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.config import RunConfig
from tickdeck.interfaces.bench.resuming import ALL_STATES, STRATEGIES, resume_copy, simulated_run

LARGE = Decimal(10**9)


def main(lengths: list[int], *, live: bool, only_snapshots: bool) -> None:
    own = bootstrap.strategies.code_digest  # type: ignore[attr-defined]
    print("events        stopped                  killed                   without snapshots        with other code")
    for length in lengths:
        with tempfile.TemporaryDirectory() as data:
            folder = asyncio.run(make_live(Path(data), length)) if live else simulated_run(Path(data), length)
            place = Path(data)
            bootstrap.strategies.code_digest = own  # type: ignore[attr-defined]
            found = [resume_copy(folder, place / "stopped"), resume_copy(folder, place / "killed", forget=1)]
            if not only_snapshots:
                found.append(resume_copy(folder, place / "without", forget=ALL_STATES))
                bootstrap.strategies.code_digest = lambda: "other"  # type: ignore[attr-defined]
                found.append(resume_copy(folder, place / "other"))
            figures = (f"{one.opened:>4.1f} + {one.continued:>4.1f} ({one.passed:>5.1f})" for one in found)
            print(f"{length:>9,}   ", "     ".join(figures), flush=True)


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


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    main(
        [int(word) for word in words] or [10_000, 100_000],
        live="--live" in sys.argv,
        only_snapshots="--from-snapshots" in sys.argv,
    )
