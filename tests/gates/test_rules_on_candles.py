"""Rules on candles agree, fill by fill, with an independent backtest: two strategies in one account, with stops,
targets and trailing stops, sizes by risk, a cooldown, and a most number of trades a day."""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from gate_runs import config, play
from test_stops_on_candles import FILES, candles_with_jumps, cents

from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import Run, open_record, verify_run
from tickdeck.domain.events import OrderFilledEvent, OrderPartiallyFilledEvent
from tickdeck.infrastructure.config import StrategyConfig, TapeConfig

D = Decimal
FEE, INTERVAL = D("0.001"), 300
LOTS = {"BTCUSDT": D("0.00001"), "ETHUSDT": D("0.0001")}
Told = tuple[str, str, Decimal, Decimal]


class Wanted(NamedTuple):
    """A strategy that buys while the close of a candle is above (or below) its open, by its parameters."""

    enter: str
    stop: Decimal
    target: Decimal
    trailing: Decimal
    risk: Decimal
    quantity: Decimal
    cooldown: int
    most: int

    def parameters(self) -> dict[str, str | int]:
        found: dict[str, str | int] = {"enter": f"close(5m) {self.enter} open(5m)", "trades_a_day": self.most}
        for name, value in (("stop_loss", self.stop), ("take_profit", self.target), ("trailing", self.trailing)):
            found |= {name: f"{value * 100:f}%"} if value else {}
        found |= {"risk": f"{self.risk * 100:f}%"} if self.risk else {"quantity": str(self.quantity)}
        return found | ({"cooldown": f"{self.cooldown}s"} if self.cooldown else {})


class Book:
    """What one strategy holds, and where it is closed."""

    def __init__(self, wanted: Wanted, lot: Decimal) -> None:
        self.wanted = wanted
        self.lot = lot
        self.held = self.stop = self.target = self.best = self.entry = self.orders = D(0)
        self.trails = self.leaving = False
        self.not_before = self.day = self.entries = 0

    def enter(self, price: Decimal) -> None:
        """Its order filled at ``price``."""
        self.held, self.orders = self.orders, D(0)
        self.entry = self.best = price
        self.target = cents(price * (1 + self.wanted.target))
        level, self.trails = self.level()
        self.stop, self.leaving = cents(level), False

    def close(self, at: int) -> None:
        """It was closed ``at`` (s). The report arrives within a second."""
        self.held, self.not_before = D(0), at + self.wanted.cooldown + bool(self.wanted.cooldown)

    def level(self) -> tuple[Decimal, bool]:
        """The stop, and whether it is the trailing one: the fixed or the trailing one, whichever is nearer."""
        levels = [(self.entry * (1 - self.wanted.stop), False)] if self.wanted.stop else []
        levels += [(self.best * (1 - self.wanted.trailing), True)] if self.wanted.trailing else []
        return max(levels, key=lambda each: each[0])  # the fixed one if they are the same

    def follow(self, high: Decimal, close: Decimal) -> None:
        """Move a trailing stop at a close."""
        self.best = max(self.best, high)
        level, trails = self.level()
        step = self.best * self.wanted.trailing / 10 if self.trails else D("0.01")
        if trails and cents(level) - self.stop >= step:
            self.stop, self.trails, self.leaving = cents(level), True, close <= level

    def decide(self, now: int, holds: bool, price: Decimal, equity: Decimal) -> None:
        """Order if it has nothing, has waited, and has trades left this day."""
        wanted, day = self.wanted, now // 86_400
        if self.held or self.orders or now < self.not_before or not holds:
            return
        if day != self.day:
            self.day, self.entries = day, 0
        if not wanted.most or self.entries < wanted.most:
            size = equity * wanted.risk / (price * wanted.stop) if wanted.risk else wanted.quantity
            self.orders = size.quantize(self.lot, ROUND_DOWN)
            self.entries += 1


def seconds(text: str) -> int:
    return int(text) if text.isdigit() else int(datetime.fromisoformat(text).timestamp())


def independent(path: Path, symbol: str, several: dict[str, Wanted], cash: Decimal) -> Iterator[Told]:
    """Yields (strategy, side, price, quantity) of each fill.

    Each decides at each close, and when its wait is over with what it knows then; the order fills at the next open. A
    risk is a share of the equity at that moment. A candle reaches the stop first; one that opens beyond it is closed at
    the open. A target needs a price beyond it. What happens within a candle is known after its close: a decision at
    that close does not know it. A trailing stop is moved at a close by at least a tenth of its distance, but takes the
    place of a fixed one at once.
    """
    books = {name: Book(wanted, LOTS[symbol]) for name, wanted in several.items()}

    def paid(fill: Told) -> Decimal:
        value = fill[2] * fill[3]
        return (value if fill[1] == "sell" else -value) - (value * FEE).quantize(D("1E-8"), ROUND_HALF_EVEN)

    def decide(book: Book, now: int) -> None:
        """With ``before``, the open and the close of the last closed candle."""
        holds = before[1] > before[0] if book.wanted.enter == ">" else before[1] < before[0]
        held = sum((each.held for each in books.values()), D(0))
        book.decide(now, holds, before[1], cash + held * before[1])

    before = D(0), D(0)
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            first, high, low, close = (D(row[name]) for name in ("open", "high", "low", "close"))
            begin = seconds(row["timestamp"])
            end = begin + INTERVAL
            for name, book in books.items():
                fill: Told | None = None
                if book.orders:
                    book.enter(first)
                    fill = name, "buy", first, book.held
                elif book.held and (book.leaving or first <= book.stop):
                    fill = name, "sell", first, book.held
                    book.close(begin)
                if fill is not None:
                    cash += paid(fill)
                    yield fill
            for book in sorted(books.values(), key=lambda book: book.not_before):
                if begin < book.not_before < end:
                    decide(book, book.not_before)
            closed: list[tuple[Book, Told]] = []
            for name, book in books.items():
                if book.held and low <= book.stop:
                    closed.append((book, (name, "sell", book.stop, book.held)))
                elif book.held and book.wanted.target and high > book.target:
                    closed.append((book, (name, "sell", book.target, book.held)))
                elif book.held and book.wanted.trailing:
                    book.follow(high, close)
            before = first, close
            for book in books.values():
                decide(book, end)
            for book, fill in closed:
                book.close(end)
                cash += paid(fill)
                yield fill


def drawn(seed: int) -> dict[str, Wanted]:
    draw = random.Random(seed)

    def one() -> Wanted:
        trailing = D(draw.choice(["0", "0.005"]))
        stop = D(draw.choice(["0", "0.004", "0.01"] if trailing else ["0.004", "0.01"]))
        risk = D(draw.choice(["0", "0.0002"])) if stop else D(0)
        # A wait of whole candles ends within ms of other reports, whose order is drawn: equity may be before or after.
        cooldown = draw.choice([0, 700, 3_500] if risk else [0, 600, 700, 3_500])
        return Wanted(
            enter=draw.choice("<>"),
            stop=stop,
            target=D(draw.choice(["0", "0.006", "0.02"])),
            trailing=trailing,
            risk=risk,
            quantity=D(draw.choice(["0.01", "0.013"])),
            cooldown=cooldown,
            most=draw.choice([0, 3, 20]),
        )

    return {"one": one(), "two": one()}


def assert_agrees(path: Path, symbol: str, several: dict[str, Wanted], folder: Path) -> tuple[Run, int]:
    """A run has the fills of the independent backtest. Returns it and their number."""
    strategies = tuple(
        StrategyConfig(spec="rules", name=name, parameters=wanted.parameters()) for name, wanted in several.items()
    )
    tapes = (TapeConfig(path=str(path), symbol=symbol),)
    run = play(msgspec.structs.replace(config(tapes=()), strategies=strategies, tapes=tapes, duration=None), folder)

    query = TapeQuery(types=("order.filled", "order.partially_filled"))
    fills = [e for e in open_record(run.folder, query) if isinstance(e, OrderFilledEvent | OrderPartiallyFilledEvent)]
    ours = [(fill.strategy_id, fill.side.value, fill.price, fill.quantity) for fill in fills]
    theirs = list(independent(path, symbol, several, D(100_000)))
    for name in several:  # latencies draw the order of two fills at one open
        assert [fill for fill in ours if fill[0] == name] == [fill for fill in theirs if fill[0] == name]
    return run, len(theirs)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
def test_rules_of_one_account_fill_as_in_an_independent_backtest(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "candles-5m-BTCUSDT.csv.gz"
    candles_with_jumps(path, seed)

    run, fills = assert_agrees(path, "BTCUSDT", drawn(seed), tmp_path / "run")

    assert fills > 10
    if seed < 2:
        assert verify_run(run.folder)[0].identical


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seed"), list(zip(FILES, range(2), strict=True)))
def test_rules_on_recorded_candles_fill_as_in_an_independent_backtest(
    shared: Path, tmp_path: Path, name: str, seed: int
) -> None:
    several = drawn(seed)

    fills = assert_agrees(shared / "market-data" / name, name.split("-")[2], several, tmp_path)[1]

    assert fills > 100
