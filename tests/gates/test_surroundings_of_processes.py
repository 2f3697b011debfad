"""Real faults around a real process: it is stopped and continued, its disk is full, its handler hangs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import open_record, verify_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.events import OrderSubmittedEvent, SystemWarning, TradingHalted, TradingResumed
from tickdeck.infrastructure.runs import find_run

pytestmark = pytest.mark.slow

STRATEGIES = Path(__file__).resolve().parent / "gate_strategies.py"
HANGING = """
import time
from decimal import Decimal
from tickdeck import Strategy

class Hanging(Strategy):
    seconds: float = 1.0

    def on_start(self):
        self.trades, self.is_accepted, self.has_hung = 0, False, False

    def on_order(self, order):
        self.is_accepted = self.is_accepted or order.event_type == "order.accepted"

    def on_trade(self, trade):
        self.trades += 1
        if self.is_accepted and not self.has_hung:
            self.has_hung = True
            end = time.monotonic() + self.seconds
            while time.monotonic() < end:
                pass
        elif self.trades != 10:
            return
        self.buy(trade.symbol, Decimal("0.002"), limit=trade.price * Decimal("0.96"))
"""
Act = Callable[["Child"], Coroutine[Any, Any, None]]


class Child:
    """A run in a process of its own, at an exchange in this one."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, log: Path) -> None:
        self.process, self.url, self._log = process, url, log

    async def wait_for(self, fact: Callable[[], object]) -> None:
        async with asyncio.timeout(120):
            while not await asyncio.to_thread(fact):  # noqa: ASYNC110 (another process does it)
                await asyncio.sleep(0.1)

    def orders(self) -> list[Any]:
        with urllib.request.urlopen(f"{self.url}/admin/orders?account=demo", timeout=120) as answer:
            return [order for order in json.load(answer) if order["status"] == "NEW"]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def said(self) -> str:
        return self._log.read_text()


def run(
    tmp_path: Path, data: Path, settings: str, act: Act, *, faults: str = "", form: str = "sqlite"
) -> tuple[int, str]:
    """Trade in a process until ``act`` is over and the process has ended. Returns its exit code and its stderr."""
    (tmp_path / "hanging.py").write_text(HANGING)
    log = tmp_path / "stderr"

    async def work() -> int:
        async with open_venue(("BTCUSDT",), faults=faults) as venue:
            (tmp_path / "run.toml").write_text(
                f'exchange = "binance"\nexchange_url = "{venue.url}"\nlive = true\nduration = "1d"\n'
                f'tape_format = "{form}"\n'
                '[accounts.main]\nexchange = "binance"\ncredentials = "env:DEMO"\n'
                "[risk]\nmax_order_notional = 20000\nmax_position_notional = 900000\nmax_daily_loss = 5000\n" + settings
            )
            words = "run", "--config", "run.toml", "--data", str(data), "--plain", "--log-level", "warning"
            environment = os.environ | {"DEMO_API_KEY": "demo-key", "DEMO_API_SECRET": "demo-secret"}
            with log.open("w") as stderr:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "tickdeck", *words),
                    cwd=tmp_path,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    env=environment,
                )
            try:
                await act(Child(process, venue.url, log))
                async with asyncio.timeout(120):
                    return await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    code = asyncio.run(work())
    return code, log.read_text()


def story(data: Path) -> list[str]:
    """The warnings of the surroundings, the halts and the resumes of the run, in order; with its proof checked."""
    folder = find_run(data, "last")
    assert verify_run(folder)[0].identical
    found = []
    for event in open_record(folder):
        if isinstance(event, SystemWarning) and event.component == "surroundings":
            found.append(event.message)
        elif isinstance(event, TradingHalted | TradingResumed):
            found.append(event.event_type)
    return found


def resumed_at(data: Path) -> int:
    """The ``seq`` at which trading was resumed, as far as the tape says so already; else 0."""
    events = open_record(find_run(data, "last"), TapeQuery(types=("trading.resumed",)))
    return next((event.seq for event in events), 0)


def ordered_again(data: Path) -> bool:
    """Whether an order followed when trading was resumed."""
    again = resumed_at(data)
    orders = open_record(find_run(data, "last"), TapeQuery(types=("order.submitted",)))
    return again > 0 and any(order.seq > again for order in orders)


def test_a_process_that_is_stopped_longer_than_its_sessions_live_says_so_and_trades_on(tmp_path: Path) -> None:
    data = tmp_path / "data"

    async def act(child: Child) -> None:
        await child.wait_for(lambda: bool(child.orders()))
        child.signal(signal.SIGSTOP)
        await asyncio.sleep(3)
        child.signal(signal.SIGCONT)
        await child.wait_for(lambda: "stood still" in child.said())
        await child.wait_for(lambda: ordered_again(data))
        child.signal(signal.SIGTERM)

    settings = f'[watch]\npause = "1s"\n[[strategies]]\nspec = "{STRATEGIES}:Busy"\n'
    code, said = run(tmp_path, data, settings, act, faults="disconnect_every=1s")

    assert code == 128 + signal.SIGTERM
    warning, halted, resumed = story(data)[:3]
    assert warning.startswith("the process stood still for ")
    assert float(warning.split()[-2]) > 2
    assert (halted, resumed) == ("trading.halted", "trading.resumed")
    assert "the process stood still" in said
    assert ordered_again(data)


def test_a_handler_that_hangs_for_a_while_halts_trading_until_it_has_returned(tmp_path: Path) -> None:
    data = tmp_path / "data"

    async def act(child: Child) -> None:
        await child.wait_for(lambda: "has held the bus" in child.said())
        await child.wait_for(lambda: resumed_at(data))
        child.signal(signal.SIGTERM)

    settings = '[watch]\nhandler = "1s"\n[[strategies]]\nspec = "hanging.py:Hanging"\nparameters = { seconds = 2.5 }\n'
    code, _ = run(tmp_path, data, settings, act)

    assert code == 128 + signal.SIGTERM
    warning, *then = story(data)[:3]
    assert "Hanging.on_trade" in warning
    assert "it has returned now" in warning
    assert then == ["trading.halted", "trading.resumed"]
    events = list(open_record(find_run(data, "last")))
    sent = [event.order_id for event in events if isinstance(event, OrderSubmittedEvent)]
    rejected = [event for event in events if event.event_type == "order.rejected"]
    assert len(sent) == 2
    assert [event.order_id for event in rejected] == sent[1:]  # type: ignore[attr-defined]
    assert rejected[0].reason.startswith("never sent: ")  # type: ignore[attr-defined]


def test_a_handler_that_never_returns_ends_the_process_with_3(tmp_path: Path) -> None:
    data = tmp_path / "data"

    async def act(child: Child) -> None:
        """Wait."""

    settings = (
        '[watch]\nhandler = "1s"\nhandler_exit = "3s"\n'
        '[[strategies]]\nspec = "hanging.py:Hanging"\nparameters = { seconds = 1000 }\n'
    )
    code, said = run(tmp_path, data, settings, act)

    assert code == 3
    assert "was ended immediately, because a handler did not return; a handler was running: Hanging.on_trade" in said
    assert "of its orders may be open at the exchange; `tickdeck run --resume" in said
    assert story(data) == []  # it could not say so on the tape; what is there is proven


def fill(path: Path) -> None:
    """Write to a file until there is no space left."""
    with path.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(4096))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small file system")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_on_a_full_disk_the_open_orders_are_cancelled_and_the_run_ends_with_3(
    tmp_path: Path, small_disk: Path, form: str
) -> None:
    left: list[Any] = []

    async def act(child: Child) -> None:
        await child.wait_for(lambda: bool(child.orders()))
        await asyncio.to_thread(fill, small_disk / "ballast")
        await asyncio.wait_for(child.process.wait(), 120)
        left.extend(await asyncio.to_thread(child.orders))

    settings = f'[watch]\ndisk_free = "none"\n[[strategies]]\nspec = "{STRATEGIES}:Rests"\n'
    code, said = run(tmp_path, small_disk, settings, act, form=form)

    assert code == 3
    assert left == []
    (line,) = [line for line in said.splitlines() if line.startswith("tickdeck: error:")]
    assert "the disk is full: free some space, then resume" in line
    assert "1 open order was cancelled at binance without a record" in line
    assert "Traceback" not in said
