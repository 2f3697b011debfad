"""A complete backtest with all parts of a user's run: strategy, risk, execution, paper venue, portfolio, tape."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

from tickdeck.bootstrap import Run, start_run
from tickdeck.infrastructure.config import RunConfig, StrategyConfig, TapeConfig
from tickdeck.infrastructure.readers import InputFile, open_input
from tickdeck.interfaces.bench.samples import SYMBOL, write_trades_csv
from tickdeck.interfaces.bench.session import Figures, Session, timed

__all__ = ["backtest", "order_cost"]

_STRATEGY = "tickdeck.interfaces.bench.strategy:TickEmaCross"
_WITHOUT_ORDERS = "tickdeck.interfaces.bench.strategy:Watching"


def backtest(*, count: int, folder: str, preloaded: bool) -> Session:
    """Trades per second through a run. ``orders`` and ``fills`` show that it traded.

    ``preloaded``: the trades are in memory as events before the clock starts, and it stops when the tape is closed.
    Otherwise the time includes everything, starting with hashing the file.
    """
    path = Path(folder) / f"{SYMBOL}-trades.csv"
    write_trades_csv(path, count)
    config = RunConfig(
        strategies=(StrategyConfig(spec=_STRATEGY),),
        tapes=(TapeConfig(path=str(path), format="binance-trades"),),
        state_every=0,  # as `tickdeck backtest` has it
    )
    runs = Path(folder) / "runs"
    events = list(open_input(InputFile(path, "binance-trades", SYMBOL))) if preloaded else []

    def finish(run: Run) -> None:
        asyncio.run(run.simulation.run())
        run.close()

    def session() -> Figures:
        if preloaded:
            run = start_run(config, runs)
            run.simulation._market = iter(events)
            with timed() as seconds:
                finish(run)
        else:
            with timed() as seconds:
                run = start_run(config, runs)
                finish(run)
        published = run.kernel.statistics().published
        shutil.rmtree(runs)
        assert published["market.trade"] == count
        return {
            "value": count / seconds(),
            "orders": published.get("order.submitted", 0),
            "fills": published.get("venue.fill_reported", 0),
        }

    return session


def order_cost(*, count: int, folder: str) -> Session:
    """Microseconds of CPU that an order takes in a backtest, with all that it causes: the difference to the same
    strategy without orders. ``events``: how many an order causes."""
    path = Path(folder) / f"{SYMBOL}-trades.csv"
    write_trades_csv(path, count)
    events = list(open_input(InputFile(path, "binance-trades", SYMBOL)))

    def cost(spec: str) -> tuple[float, int, int]:
        """The CPU time (s), the events that are no trades, and the orders of a run."""
        config = RunConfig(
            strategies=(StrategyConfig(spec=spec),), tapes=(TapeConfig(path=str(path), format="binance-trades"),)
        )
        run = start_run(config, Path(folder) / "runs")
        run.simulation._market = iter(events)
        began = time.process_time()
        asyncio.run(run.simulation.run())
        run.close()
        seconds = time.process_time() - began
        published = run.kernel.statistics().published
        shutil.rmtree(Path(folder) / "runs")
        caused = sum(times for name, times in published.items() if name != "market.trade")
        return seconds, caused, published.get("order.submitted", 0)

    def session() -> Figures:
        (with_orders, caused, orders), (without, others, none) = cost(_STRATEGY), cost(_WITHOUT_ORDERS)
        assert orders
        assert not none
        return {
            "value": (with_orders - without) / orders * 1e6,
            "events": (caused - others) / orders,
            "orders": orders,
        }

    return session
