"""Runs that short as much as possible never owe more than they have, except after a price jump."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from gate_runs import play
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.bootstrap import Run, open_record
from tickdeck.domain.events import StateUpdated
from tickdeck.domain.risk import RiskLimits
from tickdeck.infrastructure.config import RunConfig, StrategyConfig, TapeConfig
from tickdeck.infrastructure.exchanges.paper import PaperConfig

BTC = "BTCUSDT"
SHORTS = '''
from decimal import Decimal
from tickdeck import Strategy
class Shorts(Strategy):
    """Sells all that it can, again and again."""
    def on_trade(self, trade):
        self.sell(trade.symbol, Decimal("0.3"), reason="more")
'''


def run_of(folder: Path, prices: list[str], **paper: object) -> Run:
    folder.mkdir(exist_ok=True)
    (folder / "shorts.py").write_text(SHORTS)
    rows = ["local_ts_ns,venue,symbol,trade_id,price,qty,buyer_is_maker,trade_ts_ms,event_ts_ms"]
    for n, price in enumerate(prices):
        ms = 1_723_161_254_000 + n * 400
        rows.append(f"{ms}000000,binance-spot,BTCUSDT,{2 * n + 1},{price},50,false,{ms},{ms}")
        rows.append(f"{ms + 1}000000,binance-spot,BTCUSDT,{2 * n + 2},{price},50,true,{ms + 1},{ms + 1}")
    (folder / "trades.csv").write_text("\n".join(rows) + "\n")
    config = RunConfig(
        strategies=(StrategyConfig(spec=f"{folder / 'shorts.py'}:Shorts"),),
        tapes=(TapeConfig(path=str(folder / "trades.csv")),),
        paper=PaperConfig(short_selling=True, balances={"USDT": Decimal(100)}, **paper),  # type: ignore[arg-type]
        risk=RiskLimits(),
    )
    return play(config, folder / "data")


def equities(run: Run) -> list[StateUpdated]:
    return [e for e in open_record(run.folder) if isinstance(e, StateUpdated)]


def test_a_shorts_loss_never_exceeds_the_account_while_prices_rise_in_small_steps(tmp_path: Path) -> None:
    prices = [f"{100 * 1.05**n:.2f}" for n in range(60)]
    run = run_of(tmp_path, prices)

    assert run.core.portfolio.equity() > 0
    assert run.core.kernel.statistics().published["risk.limit_breached"]
    assert all(Decimal(state.values["equity"]) > 0 for state in equities(run))


def test_a_jump_that_makes_the_equity_negative_ends_flat_and_halted(tmp_path: Path) -> None:
    run = run_of(tmp_path, ["100"] * 10 + ["500"] * 20)

    account = run.core.portfolio.account
    assert account.position(BTC).is_flat
    assert account.balances["BTC"] == 0
    summary = run.summary(1.0)
    assert summary.halted is not None
    assert "short_cover" in summary.halted
    assert summary.equity < 0


@given(st.lists(st.integers(-15, 15), min_size=5, max_size=25))
def test_equity_stays_above_0_for_any_steps(tmp_path_factory: pytest.TempPathFactory, steps: list[int]) -> None:
    price, prices = 100.0, ["100"] * 5
    for step in steps:
        price *= 1 + step / 100
        prices += [f"{price:.2f}"] * 3
    run = run_of(tmp_path_factory.mktemp("steps"), prices)
    assert run.core.portfolio.equity() > 0
    assert run.core.portfolio.account.position(BTC).quantity <= 0


def test_a_gap_between_candles_that_makes_the_equity_negative_ends_flat_and_halted(tmp_path: Path) -> None:
    strategy = tmp_path / "shorts.py"
    strategy.write_text(SHORTS.replace("on_trade(self, trade)", "on_candle(self, candle)").replace("trade.", "candle."))
    rows = [f"{1_723_161_600_000 + n * 60_000},{price},{price},{price},{price},100" for n, price in PATH]
    (tmp_path / "BTCUSDT-1m.csv").write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
    wanted = RunConfig(
        strategies=(StrategyConfig(spec=f"{strategy}:Shorts"),),
        tapes=(TapeConfig(path=str(tmp_path / "BTCUSDT-1m.csv")),),
        paper=PaperConfig(short_selling=True, balances={"USDT": Decimal(100)}),
        risk=RiskLimits(),
    )

    run = play(wanted, tmp_path / "data")

    assert run.summary(1.0).fills > 2
    assert run.core.portfolio.account.position(BTC).is_flat
    assert run.summary(1.0).halted is not None


PATH = list(enumerate(["100"] * 10 + ["103"] * 10 + ["350"] * 10))
