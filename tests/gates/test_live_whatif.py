"""``tickdeck whatif`` of a live run: its frames are played again as market data, with orders on paper."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner
from fake_binance import FakeBinance
from test_live_binance import frames_of, send_all

from tickdeck.bootstrap import LiveRun, start_live_run, verify_run
from tickdeck.infrastructure.config import RunConfig, StrategyConfig
from tickdeck.infrastructure.runs import find_run
from tickdeck.interfaces.cli import main

TURNS = """
from decimal import Decimal
from tickdeck import Strategy

class Turns(Strategy):
    every: int = 20
    note: str = ""

    def on_start(self):
        self.n = 0

    def on_trade(self, trade):
        self.n += 1
        if self.n % self.every == 0:
            self.buy(trade.symbol, Decimal("0.001"), reason=self.note)
"""


def live_run(data: Path, shared: Path) -> LiveRun:
    frames, snapshot = frames_of(shared, 600)

    async def play(connection: web.WebSocketResponse, number: int) -> None:
        await send_all(connection, frames)
        await connection.receive()

    async def work() -> LiveRun:
        async with FakeBinance(play, lambda request: snapshot).serving() as url:
            strategies = (StrategyConfig(spec=f"{data / 'turns.py'}:Turns"),)
            config = RunConfig(strategies=strategies, exchange="binance", exchange_url=url, duration=Decimal(600))
            run = start_live_run(config, data)

            def stop(ts: int) -> None:
                if run.driver.market_events >= len(frames) + 2:
                    run.driver.request_stop()

            try:
                await run.drive(None, progress=stop)
            finally:
                run.close()
            return run

    return asyncio.run(work())


@pytest.mark.long
def test_a_live_run_is_played_again_on_its_frames_with_other_settings(tmp_path: Path, shared: Path) -> None:
    (tmp_path / "turns.py").write_text(TURNS)
    original = live_run(tmp_path, shared).manifest.run_id

    def whatif(change: str) -> dict[str, Any]:
        words = ["whatif", original, "--param", change, "--data", str(tmp_path), "--json"]
        result = CliRunner().invoke(main, words, prog_name="tickdeck")
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        assert verify_run(find_run(tmp_path, found["run"]))[0].identical
        return found

    same = whatif("note=other")["decisions"]
    assert same["same"] > 1
    assert (same["only_original"], same["only_run"]) == (0, 0)
    assert whatif("every=10")["decisions"]["only_run"] > 0
