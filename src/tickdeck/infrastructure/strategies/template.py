"""The files of a strategy project to start from."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

import tickdeck
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.fresh_file import fresh_file

__all__ = ["create_project"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*")

_README = """\
# $name

A strategy for Tickdeck. `strategy.py` contains the strategy, `run.toml` the settings, `tests/` the tests.

```
tickdeck run --config run.toml                     # a simulated market, the paper venue; Ctrl-C stops it
tickdeck verify last                               # prove it: replay the run and compare every decision
tickdeck backtest --config run.toml --tape FILE    # on recorded market data
tickdeck doctor --config run.toml                  # check the machine and the settings
python -m pytest                                   # the tests
```

Run these in this folder, in the environment in which Tickdeck is installed; the tests also need pytest.

What the strategy does: it buys when a candle closes above the highs of the candles before it, and sells
everything at the first falling candle. `lookback` (how many candles) and `quantity` (in base currency) are parameters:
`--param lookback=40` on the command line, or `parameters` in `run.toml`.
"""

_STRATEGY = '''\
"""Buys breakouts above recent highs and sells at the first falling candle."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from tickdeck import CandleEvent, Strategy


class $cls(Strategy):
    """Buys at market when a candle closes above the highs of the last ``lookback`` candles. Sells everything when a
    candle falls. ``quantity`` is in base currency.
    """

    lookback: int = 20
    quantity: Decimal = Decimal("0.01")

    def on_start(self) -> None:
        self.highs: dict[str, deque[Decimal]] = {symbol: deque(maxlen=self.lookback) for symbol in self.symbols}

    def on_candle(self, candle: CandleEvent) -> None:
        symbol, highs = candle.symbol, self.highs[candle.symbol]
        held = self.position(symbol).quantity
        if len(highs) == self.lookback and not self.open_orders(symbol):
            if candle.close > max(highs) and not held:
                self.buy(symbol, self.quantity, reason=f"above the highs of {self.lookback} candles")
            elif candle.close < candle.open and held > 0:
                self.sell(symbol, held, reason="a falling candle")
        highs.append(candle.high)
'''

_CONFIG = """\
# Settings of `tickdeck run --config run.toml`; settings that you omit have defaults. Paths are relative to this file.
symbols = ["BTCUSDT"]        # of the input files, or of the simulated market
seed = 1                     # of the simulated market, the paper venue's latencies and the strategy's rng
# candles = "1h"             # built from trades or finer candles; default: as in the file, or 250ms from trades

[[strategies]]
spec = "strategy.py:$cls"
parameters = { lookback = 20, quantity = "0.01" }

[risk]                       # amounts in quote currency
max_order_notional = 10000
max_position_notional = 50000
max_daily_loss = 5000        # since 00:00 UTC; trading halts

[paper]
balances = { USDT = 100000 }
maker_fee = "0.1%"
taker_fee = "0.1%"

# [[tapes]]                  # recorded market data instead of the simulated market
# path = "BTCUSDT-trades-2024-08-08.csv"
"""

_TEST = '''\
"""Tests the strategy in short runs of the real command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent


def tickdeck(*words: object) -> dict[str, Any]:
    """Returns the output of ``tickdeck WORDS --json``."""
    command = [sys.executable, "-m", "tickdeck", *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT, timeout=120)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def backtest(closes: list[int], tmp_path: Path) -> dict[str, Any]:
    """Run the strategy on one-minute candles with these closes; each opens at the previous close."""
    lines = ["timestamp,open,high,low,close,volume"]
    for minute, (opened, closed) in enumerate(zip([closes[0], *closes], closes, strict=False)):
        low, high = sorted((opened, closed))
        lines.append(f"{1_704_067_200 + minute * 60},{opened},{high},{low},{closed},5")
    candles = tmp_path / "BTCUSDT.csv"
    candles.write_text("\\n".join(lines) + "\\n")
    return tickdeck("backtest", "--config", PROJECT / "run.toml", "--tape", candles, "--data", tmp_path / "data")


def test_it_buys_when_the_price_breaks_out(tmp_path: Path) -> None:
    figures = backtest([60_000] * 25 + [60_100, 60_200, 60_300], tmp_path)

    assert figures["orders"] == 1
    assert figures["position"] == {"BTCUSDT": "0.01"}


def test_it_does_nothing_while_the_price_stands_still(tmp_path: Path) -> None:
    assert backtest([60_000] * 40, tmp_path)["decisions"] == 0


def test_a_run_on_a_simulated_market_trades_and_is_proven(tmp_path: Path) -> None:
    figures = tickdeck("run", "--config", PROJECT / "run.toml", "--for", 60, "--speed", "max", "--data", tmp_path)

    assert figures["fills"] > 0
    assert figures["failures"] == 0
    assert tickdeck("verify", "last", "--data", tmp_path)["identical"] is True
'''

_PYPROJECT = """\
[project]
name = "$name"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["tickdeck>=$version"]

[dependency-groups]
dev = ["pytest>=8"]

[tool.pytest.ini_options]
testpaths = ["tests"]
"""

_GITIGNORE = """\
.venv/
__pycache__/
.pytest_cache/
tickdeck-data/
"""

_FILES = {
    "README.md": _README,
    "strategy.py": _STRATEGY,
    "run.toml": _CONFIG,
    "tests/test_strategy.py": _TEST,
    "pyproject.toml": _PYPROJECT,
    ".gitignore": _GITIGNORE,
}
"""The templates by path. ``$name``: the project, ``$cls``: the strategy class, ``$version``: Tickdeck's version."""

_TAKEN = ("Strategy", "Decimal", "CandleEvent")  # what strategy.py imports


def create_project(folder: Path) -> list[Path]:
    """Create ``folder`` with a strategy named after it. Returns its files.

    Raises ``ConfigError`` if the name is not usable, the folder exists, or it cannot be created.
    """
    name = folder.name
    cls = "".join(part[0].upper() + part[1:] for part in re.split("[-_]", name) if part)
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is not a valid project name; use letters, digits and single hyphens, starting with a letter"
        )
    if cls in _TAKEN or keyword.iskeyword(cls) or name.lower() == tickdeck.__name__:
        raise ConfigError(f"{name!r} is a reserved name; name the project after what it does")
    values = {"name": name, "cls": cls, "version": tickdeck.__version__}
    with fresh_file(folder, mend="choose another name, without '/'") as place:
        for path, text in _FILES.items():
            file = place / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(Template(text).substitute(values), "utf-8")
    return [folder / path for path in _FILES]
