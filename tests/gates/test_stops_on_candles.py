"""Stops and targets on recorded candles agree, fill by fill, with an independent backtest."""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import msgspec
import pytest
from gate_runs import STRATEGIES, config, play

from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import Run, open_record, verify_run
from tickdeck.domain.events import OrderFilledEvent, OrderPartiallyFilledEvent
from tickdeck.infrastructure.config import StrategyConfig, TapeConfig
from tickdeck.infrastructure.exchanges.paper import PaperConfig

Fill = OrderFilledEvent | OrderPartiallyFilledEvent
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


def filled(path: Path, symbol: str, terms: dict[str, str], sign: int, folder: Path) -> tuple[Run, list[Fill]]:
    """A run of the same rules with the candles of a file, and its fills."""
    strategy = StrategyConfig(
        spec=f"{STRATEGIES}:Periodic", parameters={"side": "buy" if sign > 0 else "sell", **terms}
    )
    tapes = (TapeConfig(path=str(path), symbol=symbol),)
    wanted = msgspec.structs.replace(
        config(tapes=()), strategies=(strategy,), tapes=tapes, duration=None, paper=PaperConfig(short_selling=True)
    )
    run = play(wanted, folder)
    query = TapeQuery(types=("order.filled", "order.partially_filled"))
    return run, [e for e in open_record(run.folder, query) if isinstance(e, Fill)]


def candles_with_jumps(path: Path, seed: int) -> None:
    """1,000 candles of five minutes, of which many open far from the close before them."""
    draw = random.Random(seed)
    close = D(draw.choice([5_000, 20_000, 80_000]))
    spread = draw.choice([0.0005, 0.002, 0.01])

    def moved(price: Decimal) -> Decimal:
        return cents(price * (1 + D(str(round(draw.gauss(0, spread), 6)))))

    with gzip.open(path, "wt") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamp", "open", "high", "low", "close", "volume"])
        for n in range(1_000):
            first = moved(close) if draw.random() < 0.5 else close
            last, other = moved(first), moved(first)
            close = last
            high, low = max(first, last, other), min(first, last, other)
            rows.writerow([1_743_638_400 + n * 300, first, high, low, last, 1_000])


@pytest.mark.long
@pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize("terms", [FIXED, TRAILING], ids=["fixed", "trailing"])
@pytest.mark.parametrize("seed", range(3))
def test_stops_and_targets_agree_when_the_market_jumps_between_candles(
    tmp_path: Path, seed: int, terms: dict[str, str], sign: int
) -> None:
    path = tmp_path / "candles-5m-BTCUSDT.csv.gz"
    candles_with_jumps(path, seed)

    fills = filled(path, "BTCUSDT", terms, sign, tmp_path / "run")[1]

    theirs = list(independent(path, terms, sign))
    assert [(fill.side.value, fill.price, fill.fee) for fill in fills] == theirs
    assert len(theirs) > 10


@pytest.mark.slow
@pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize("terms", [FIXED, TRAILING], ids=["fixed", "trailing"])
@pytest.mark.parametrize("name", [*FILES, *LONG])
def test_stops_and_targets_fill_as_in_an_independent_backtest(
    shared: Path, tmp_path: Path, name: str, terms: dict[str, str], sign: int
) -> None:
    path = shared / "market-data" / name
    run, fills = filled(path, name.split("-")[2], terms, sign, tmp_path)

    theirs = list(independent(path, terms, sign))

    assert [(fill.side.value, fill.price, fill.fee) for fill in fills] == theirs
    assert len(theirs) > 200
    cash = D(100_000)
    for traded, price, cost in theirs:
        cash += (price if traded == "sell" else -price) * QUANTITY - cost
    assert run.core.portfolio.account.balances["USDT"] == cash
    if name == FILES[0]:
        assert verify_run(run.folder)[0].divergence is None
