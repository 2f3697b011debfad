"""Stops and targets on recorded candles agree, fill by fill, with an independent backtest."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import msgspec
import pytest
from gate_runs import STRATEGIES, config, play

from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import open_record, verify_run
from tickdeck.domain.events import OrderFilledEvent, OrderPartiallyFilledEvent
from tickdeck.infrastructure.config import StrategyConfig, TapeConfig
from tickdeck.infrastructure.exchanges.paper import PaperConfig

D = Decimal
EVERY, QUANTITY, FEE = 40, D("0.01"), D("0.001")
FILES = ["candles-5m-BTCUSDT-20250403-20250702.csv.gz", "candles-5m-ETHUSDT-20250403-20250702.csv.gz"]
LONG = ["candles-1m-BTCUSDT-20241001-20241104.csv.gz", "candles-1m-ETHUSDT-20250101-20250204.csv.gz"]
FIXED = {"stop_loss": "0.4%", "take_profit": "0.6%"}
TRAILING = {"trailing": "0.5%", "take_profit": "1.5%"}


def cents(price: Decimal) -> Decimal:
    return price.quantize(D("0.01"), ROUND_HALF_EVEN)


def independent(path: Path, terms: dict[str, str], sign: int) -> Iterator[tuple[str, Decimal, Decimal]]:
    """Buys (``sign`` 1) or sells short (-1) at the open after each 40th close if it has nothing, and closes at the stop
    or the target. Yields (side, price, fee) of each fill.

    A candle reaches the stop first. If it opens beyond the stop, the open is the price. A target needs a price beyond
    it. What happens within a candle is known after its close. A trailing stop is moved at a close by at least a tenth
    of its distance; if the close is beyond the new one, the next open is the price.
    """
    percent = {name: D(text.rstrip("%")) / 100 for name, text in terms.items()}
    trailing = percent.get("trailing")
    enter, leave = ("buy", "sell")[::sign]
    held = wanted = leaving = False
    stop = target = best = D(0)
    with gzip.open(path, "rt") as file:
        for n, row in enumerate(csv.DictReader(file), 1):
            first, high, low, close = (D(row[name]) for name in ("open", "high", "low", "close"))
            worst, far = (low, high)[::sign]
            known = held  # at this close, unless it ends at the open
            if wanted:
                held = known = True
                best = first
                stop = cents(first * (1 - sign * percent.get("stop_loss", trailing or D(0))))
                target = cents(first * (1 + sign * percent["take_profit"]))
                yield enter, first, fee(first)
            elif held and (leaving or sign * (first - stop) <= 0):
                held = known = False
                yield leave, first, fee(first)
            wanted = leaving = False
            if held and sign * (worst - stop) <= 0:
                held = False
                yield leave, stop, fee(stop)
            elif held and sign * (far - target) > 0:
                held = False
                yield leave, target, fee(target)
            elif held and trailing is not None:
                best = max(best, far) if sign > 0 else min(best, far)
                level = best * (1 - sign * trailing)
                if sign * (cents(level) - stop) >= best * trailing / 10:
                    stop, leaving = cents(level), sign * (close - level) <= 0
            wanted = not known and n % EVERY == 0


def fee(price: Decimal) -> Decimal:
    return (price * QUANTITY * FEE).quantize(D("1E-8"), ROUND_HALF_EVEN)


@pytest.mark.slow
@pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize("terms", [FIXED, TRAILING], ids=["fixed", "trailing"])
@pytest.mark.parametrize("name", [*FILES, *LONG])
def test_stops_and_targets_fill_as_in_an_independent_backtest(
    shared: Path, tmp_path: Path, name: str, terms: dict[str, str], sign: int
) -> None:
    path = shared / "market-data" / name
    symbol = name.split("-")[2]
    side = "buy" if sign > 0 else "sell"
    strategy = StrategyConfig(spec=f"{STRATEGIES}:Periodic", parameters={"side": side, **terms})
    tapes = (TapeConfig(path=str(path), symbol=symbol),)
    wanted = msgspec.structs.replace(
        config(tapes=()), strategies=(strategy,), tapes=tapes, duration=None, paper=PaperConfig(short_selling=True)
    )
    run = play(wanted, tmp_path)

    query = TapeQuery(types=("order.filled", "order.partially_filled"))
    fills = [e for e in open_record(run.folder, query) if isinstance(e, OrderFilledEvent | OrderPartiallyFilledEvent)]
    theirs = list(independent(path, terms, sign))

    assert [(fill.side.value, fill.price, fill.fee) for fill in fills] == theirs
    assert len(theirs) > 200
    cash = D(100_000)
    for traded, price, cost in theirs:
        cash += (price if traded == "sell" else -price) * QUANTITY - cost
    assert run.core.portfolio.account.balances["USDT"] == cash
    if name == FILES[0]:
        assert verify_run(run.folder)[0].divergence is None
