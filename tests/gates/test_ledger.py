"""Every figure of a run equals that of an independent ledger: on each shared file, in every currency, in the report."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from gate_runs import config, play
from ledger import ledger_of

from tickdeck.bootstrap import Run, open_record
from tickdeck.domain.events import BacktestCompleted
from tickdeck.domain.risk import RiskLimits
from tickdeck.infrastructure.config import RunConfig, StrategyConfig, TapeConfig
from tickdeck.infrastructure.exchanges.paper import PaperConfig
from tickdeck.infrastructure.reporting.report import run_session

SLOW = pytest.mark.slow
CAPTURES = ("binance-spot-BTCUSDT-20240808.raw.gz", "binance-usdm-ETHUSDT-20240808.raw.gz")
MORE_CAPTURES = (
    "binance-spot-BTCUSDT-20240809.raw.gz", "binance-spot-ETHUSDT-20240808.raw.gz",
    "binance-spot-ETHUSDT-20240809.raw.gz", "binance-usdm-BTCUSDT-20240808.raw.gz",
)  # fmt: skip
CANDLES = ("candles-5m-BTCUSDT-20250403-20250702.csv.gz",)
MORE_CANDLES = (
    "candles-5m-ETHUSDT-20250403-20250702.csv.gz",
    "candles-1m-BTC-PERP-20211231-20220201.csv.gz",
    "candles-1m-BTCUSDT-20241001-20241104.csv.gz", "candles-1m-BTCUSDT-20250101-20250204.csv.gz",
    "candles-1m-ETHUSDT-20241001-20241104.csv.gz", "candles-1m-ETHUSDT-20250101-20250204.csv.gz",
)  # fmt: skip


def report_agrees(run: Run) -> None:
    """The report's figures, and those of ``backtest.completed``, equal the run's, which ``finish`` has compared."""
    summary = run.summary(1.0)
    session = run_session(run.manifest, open_record(run.folder))
    for name in ("equity", "cash", "pnl", "fees", "left_out"):
        assert getattr(session, name) == getattr(summary, name), name
    assert session.performance == run.observer.performance()
    completed = [event for event in open_record(run.folder) if isinstance(event, BacktestCompleted)]
    for event in completed:
        assert (event.equity, event.pnl, event.fees) == (summary.equity, summary.pnl, summary.fees)


@pytest.mark.parametrize("name", [*CANDLES, *(pytest.param(name, marks=SLOW) for name in MORE_CANDLES)])
def test_a_backtest_on_candles_agrees_with_the_ledger(shared: Path, tmp_path: Path, name: str) -> None:
    wanted = config("ema-cross", tapes=(shared / "market-data" / name,), backtest=True)
    if "BTC-PERP" in name:  # its currencies are ambiguous
        tape = msgspec.structs.replace(wanted.tapes[0], symbol="BTC-PERP")
        wanted = msgspec.structs.replace(wanted, tapes=(tape,))
    run = play(msgspec.structs.replace(wanted, duration=None), tmp_path)
    assert run.summary(1.0).fills > 100
    report_agrees(run)


@pytest.mark.parametrize("name", [*CAPTURES, *(pytest.param(name, marks=SLOW) for name in MORE_CAPTURES)])
def test_a_backtest_on_a_capture_agrees_with_the_ledger(shared: Path, tmp_path: Path, name: str) -> None:
    wanted = config("market-maker", "Busy", tapes=(shared / "market-data" / name,), seconds=60)
    run = play(wanted, tmp_path)
    assert run.summary(1.0).fills > 5
    report_agrees(run)


TRADER = '''
from decimal import Decimal
from tickdeck import Strategy
class Trader(Strategy):
    """Buys and sells by chance, of every symbol."""
    def on_trade(self, trade):
        if self.rng.random() < 0.2:
            side = self.buy if self.rng.random() < 0.5 else self.sell
            side(trade.symbol, Decimal(self.rng.randint(1, 30)) / 100)
'''
PRICES = {"BTCUSDT": 60_000.0, "ETHBTC": 0.05, "ETHUSDT": 3_000.0, "BNBUSDT": 600.0, "SOLETH": 0.06, "XRPEUR": 0.5}


def run_of(folder: Path, symbols: tuple[str, ...], balances: dict[str, int], *, seed: int = 1, shorts: bool) -> Run:
    """A run of ``symbols`` with random walks as prices, on trades alone."""
    rng = random.Random(seed)
    prices = {symbol: PRICES[symbol] for symbol in symbols}
    rows = ["local_ts_ns,venue,symbol,trade_id,price,qty,buyer_is_maker,trade_ts_ms,event_ts_ms"]
    for n in range(600):
        symbol = rng.choice(symbols)
        prices[symbol] *= 1 + rng.uniform(-0.01, 0.01)
        ms = 1_723_161_254_000 + n * 50
        price = f"{prices[symbol]:.6f}"
        rows.append(f"{ms}000000,binance-spot,{symbol},{n + 1},{price},5,{str(rng.random() < 0.5).lower()},{ms},{ms}")
    (folder / "trades.csv").write_text("\n".join(rows) + "\n")
    (folder / "trader.py").write_text(TRADER)
    wanted = RunConfig(
        strategies=(StrategyConfig(spec=f"{folder / 'trader.py'}:Trader"),),
        tapes=(TapeConfig(path=str(folder / "trades.csv")),),
        symbols=symbols,
        paper=PaperConfig(balances={c: Decimal(n) for c, n in balances.items()}, short_selling=shorts),
        risk=RiskLimits(),
        seed=seed,
    )
    return play(wanted, folder / "data")


@pytest.mark.parametrize("shorts", [False, True])
@pytest.mark.parametrize(
    ("symbols", "balances"),
    [
        (("BTCUSDT",), {"USDT": 1_000, "BTC": 1}),
        (("BTCUSDT", "ETHBTC"), {}),
        (("ETHBTC", "BTCUSDT"), {"USDT": 10_000, "BTC": 2, "ETH": 10}),
        (("ETHUSDT", "ETHBTC"), {"USDT": 10_000, "BTC": 2}),  # bitcoin only through ether
        (("BTCUSDT", "ETHUSDT", "ETHBTC", "BNBUSDT", "SOLETH"), {"USDT": 100_000, "BNB": 5, "SOL": 30}),
        (("ETHBTC",), {}),
        (("BTCUSDT", "XRPEUR"), {"USDT": 10_000, "EUR": 5_000}),  # euros have no price
    ],
)
def test_a_run_in_several_currencies_agrees_with_the_ledger(
    tmp_path: Path, symbols: tuple[str, ...], balances: dict[str, int], shorts: bool
) -> None:
    run = run_of(tmp_path, symbols, balances, shorts=shorts)
    assert run.summary(1.0).fills > 10
    report_agrees(run)
    if "XRPEUR" in symbols:
        assert set(run.summary(1.0).left_out) == {"EUR"}
    assert ledger_of(open_record(run.folder), run).sums["deposit"] > 0
