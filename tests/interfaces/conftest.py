"""Calls the command line in this process or a new one, and provides runs that many tests only read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bundle_kit import MINE
from click.testing import CliRunner, Result
from doctor_kit import Findings
from ledger import assert_ledger

from tickdeck.bootstrap import Run, open_record
from tickdeck.domain.events import DomainEvent
from tickdeck.infrastructure.runs import find_run, read_end
from tickdeck.interfaces.cli import main

CAPTURE = "market-data/binance-spot-BTCUSDT-20240808.raw.gz"
BUY_ONCE = """
from decimal import Decimal
from tickdeck import Strategy

class BuyOnce(Strategy):
    quantity: Decimal = Decimal("0.001")

    def on_start(self):
        self.done = False

    def on_trade(self, trade):
        if not self.done:
            self.done = True
            self.buy(trade.symbol, self.quantity)
"""

Call = Callable[..., Result]
Spawn = Callable[..., "subprocess.CompletedProcess[str]"]


def call(*words: object) -> Result:
    """Run ``tickdeck WORDS`` in this process."""
    return CliRunner().invoke(main, [str(word) for word in words], prog_name="tickdeck")


@pytest.fixture
def tickdeck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call ``tickdeck("run", "--json")`` in an empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TICKDECK_DEBUG", raising=False)
    return call


@pytest.fixture
def spawn(tmp_path: Path) -> Spawn:
    """The same in a new process, with captured output and a time limit of one minute."""

    def run(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tickdeck", *map(str, words)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONWARNINGS": "error"},
            text=True,
            timeout=60,
            check=False,
            **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options),
        )

    return run


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one run of 20 seconds of two simulated symbols; read it only."""
    data = tmp_path_factory.mktemp("simulated")
    words = (
        "run",
        "--for",
        20,
        "--speed",
        "max",
        "--symbol",
        "BTCUSDT",
        "--symbol",
        "ETHUSDT",
        "--data",
        data,
        "--json",
    )
    result = call(*words)
    assert result.exit_code == 0, result.output
    (data / "figures.json").write_text(result.stdout)
    return data


@pytest.fixture(scope="session")
def captured(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    """A data folder with one run on a recorded session of BTCUSDT; read it only. Its figures are in figures.json."""
    data = tmp_path_factory.mktemp("captured")
    result = call(
        "run", "--tape", shared / CAPTURE, "--speed", "max", "--strategy", "ema-cross", "--data", data, "--json"
    )
    assert result.exit_code == 0, result.output
    (data / "figures.json").write_text(result.stdout)
    return data


@pytest.fixture
def lines() -> Callable[[Result], list[dict[str, Any]]]:
    """The JSON objects in a result's stdout, one per line."""
    return lambda result: [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def capture(shared: Path) -> Path:
    """A recorded session of BTCUSDT: six minutes, with trades, best prices, the book's deltas and one snapshot."""
    return shared / CAPTURE


@pytest.fixture
def trades(tmp_path: Path) -> Path:
    """A small file of 200 trades, a tenth of a second apart, whose name contains the symbol."""
    path = tmp_path / "BTCUSDT-trades.csv"
    rows = (
        f"{n},{60_000 + n % 17 * 3}.5,0.01,600.0,{1_723_161_600_000 + n * 100},{n % 2 == 0},True" for n in range(1, 201)
    )
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(autouse=True, scope="module")  # no longer: tests elsewhere spoil their runs on purpose
def ledger() -> Iterator[list[str]]:
    """Asserts that every run that a test makes in this process, and that traded and reached its end, agrees with the
    independent ledger. Yields the ids of those runs.
    """
    checked: list[str] = []
    close = Run.close

    def close_and_check(run: Run) -> None:
        close(run)
        if run.simulation.completed and run.summary(1.0).fills and read_end(run.folder) is not None:
            assert_ledger(run)
            checked.append(run.manifest.run_id)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Run, "close", close_and_check)
        yield checked


@pytest.fixture
def source() -> Path:
    """The file of a strategy, in its own folder below the current one."""
    folder = Path("code")
    folder.mkdir()
    (folder / "mine.py").write_text(MINE)
    return folder / "mine.py"


@pytest.fixture
def recorded(tickdeck, source, trades) -> Path:
    """The folder of a run on a file, with the strategy of ``source``."""
    result = tickdeck("backtest", "--tape", trades, "--strategy", f"{source}:Mine", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["fills"] > 0
    return find_run(Path("tickdeck-data"), "last")


@pytest.fixture
def record(simulated: Path) -> list[DomainEvent]:
    """All events of the simulated run."""
    return list(open_record(find_run(simulated, "last")))


@pytest.fixture
def buy_once(tmp_path: Path) -> str:
    """The name of a strategy that buys at its first trade. Its file is in the current folder."""
    (tmp_path / "mine.py").write_text(BUY_ONCE)
    return "mine.py:BuyOnce"


@pytest.fixture
def looked(tickdeck) -> Callable[..., tuple[int, Findings]]:
    """Exit code, and findings by check, of ``tickdeck doctor WORDS --json``."""

    def doctor(*words: object) -> tuple[int, Findings]:
        result = tickdeck("doctor", *words, "--json")
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert all(list(line) == ["check", "ok", "detail"] for line in lines)
        return result.exit_code, {line["check"]: line for line in lines}

    return doctor
