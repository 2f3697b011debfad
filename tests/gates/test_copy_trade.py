"""Copy trading against the venue in a process of its own, killed again and again."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from gate_processes import ask, venue_process

from tickdeck.application.commands import BalanceRepository
from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import open_store
from tickdeck.domain.events import TradeExecutedEvent, TwoPhaseTradeEvent

EXAMPLE = Path(__file__).parents[2] / "examples" / "copy_trade.py"
KILLS = int(os.environ.get("TICKDECK_SEEDS", "6"))
ORDERS = 30


@pytest.fixture
def example() -> Any:
    spec = importlib.util.spec_from_file_location("copy_trade_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_copy_trader_killed_at_any_moment_ends_as_the_venue_says(
    example: Any, venue_process: str, tmp_path: Path
) -> None:
    url = venue_process
    example.open_accounts(url)
    asyncio.run(example.lead(url, ORDERS))
    fills = len(ask(url, "fills?account=leader"))
    words = ["--url", url, "--store", str(tmp_path / "copies.db"), "--until", str(fills)]
    rng = random.Random(7)
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, str(EXAMPLE), *words], stdout=subprocess.PIPE)
        try:
            process.wait(rng.uniform(0.6, 1.6))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
    with subprocess.Popen([sys.executable, str(EXAMPLE), *words], stdout=-1, stderr=-1, text=True) as last:
        for _ in range(60):
            try:
                _, errors = last.communicate(timeout=5)
                break
            except subprocess.TimeoutExpired:
                ask(url, "advance", {"by": "5m"})  # what never arrived counts as that only after the venue's wait
        else:
            last.kill()
            pytest.fail("it does not end")

    assert (last.returncode, errors) == (0, "")
    with open_store(tmp_path / "copies.db", read_only=True) as store:
        trades = [event for event in store.read(TapeQuery(types=("trade.*",))) if isinstance(event, TwoPhaseTradeEvent)]
    ended = Counter((t.account_id, t.trade_id) for t in trades if t.event_type in ("trade.executed", "trade.failed"))
    assert len(ended) == 3 * fills
    assert set(ended.values()) == {1}
    for follower in ("ada", "bob", "carl"):
        orders = Counter(order["client_id"] for order in ask(url, f"orders?account={follower}"))
        executed = [t for t in trades if isinstance(t, TradeExecutedEvent) and t.account_id == follower]
        assert set(orders.values()) <= {1}
        assert {t.order_id for t in executed} <= set(orders)
        truth = sum((Decimal(fill["quantity"]) for fill in ask(url, f"fills?account={follower}")), Decimal(0))
        assert sum((t.executed_quantity for t in executed), Decimal(0)) == truth
        assert bool(executed) is (follower != "carl")
        with open_store(tmp_path / "copies.db", read_only=True) as store:
            held = BalanceRepository(store)
            for currency, amounts in ask(url, f"balances?account={follower}")[follower].items():
                balance = held.find(follower, currency)
                if balance is not None:
                    assert (balance.total, balance.reserved) == (Decimal(amounts["free"]), 0)


def run_example(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(EXAMPLE), *words], cwd=cwd, capture_output=True, text=True, timeout=180)


@pytest.mark.long
def test_the_example_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    with venue_process() as address:
        without_accounts = run_example("--url", address, cwd=tmp_path)
        led = run_example("--url", address, "--lead", "1", cwd=tmp_path)
        copied = run_example("--url", address, cwd=tmp_path)
    gone = run_example("--url", address, "--lead", "1", cwd=tmp_path)

    assert (without_accounts.returncode, without_accounts.stderr.count("\n")) == (1, 1)
    assert "(-2015); on `tickdeck venue`, --lead opens the accounts" in without_accounts.stderr
    assert (led.returncode, led.stderr) == (0, "")
    fills = int(led.stdout.removeprefix("fills of the leader: "))
    assert fills in (1, 2)  # the best price of the moving market may have less than the order needs
    assert (copied.returncode, copied.stderr) == (0, "")
    assert f"{3 * fills} copies in the store: " in copied.stdout
    assert all(said in copied.stdout for said in ("Ada   buy ", "Bob   buy ", "Carl  did not copy: "))
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)
    assert address in gone.stderr


@pytest.mark.long
def test_the_example_refuses_a_store_that_would_outlive_its_exchange(tmp_path: Path) -> None:
    refused = run_example("--store", "copies.db", cwd=tmp_path)

    assert refused.returncode == 2
    assert "--store and --until need --url" in refused.stderr
    assert list(tmp_path.iterdir()) == []
