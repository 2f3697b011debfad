"""Independent clients work with ``tickdeck venue`` as with the real one.

The clients have their own venv (``make clients``); their versions are in ``tests/clients/requirements.txt``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="not on this machine: the clients; `make clients` installs them"),
]


def against_venue(script: str) -> Any:
    command = [sys.executable, "-m", "tickdeck", "venue", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        venue = json.loads(process.stdout.readline())
        try:
            client = [str(PYTHON), str(ROOT / "tests" / "clients" / script)]
            address = venue["url"].removeprefix("http://")
            done = subprocess.run(
                [*client, address, venue["key"], venue["secret"]], capture_output=True, text=True, timeout=110
            )
        finally:
            process.terminate()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_ccxt_and_ccxt_pro_trade_on_the_venue() -> None:
    seen = against_venue("ccxt_client.py")

    assert seen["rest"] == {
        "markets": ["BTC/USDT"],
        "time": True,
        "book": 5,
        "ticker": True,
        "trades": 5,
        "candles": True,
        "balance": 100_000.0,
        "placed": ["open", "one"],
        "queried": "open",
        "open": 1,
        "duplicate": "InvalidOrder",
        "cancelled": "canceled",
        "market": ["closed", 0.01, True],
        "fills": 0.01,
        "poor": "InsufficientFunds",
        "late": "OrderNotFound",
        "unknown": "OrderNotFound",
        "post_only": "OrderImmediatelyFillable",
        "pair": ["EXECUTING", ["limit", "market"]],
        "signature": "AuthenticationError",
    }
    assert seen["sockets"] == {
        "trade": True,
        "book": True,
        "ticker": True,
        "order": [["open", True]],
        "locked": 200.0,
        "placed_ws": "open",
        "cancelled_ws": "canceled",
    }


def test_python_binance_trades_on_the_venue() -> None:
    seen = against_venue("python_binance_client.py")

    assert seen["rest"] == {
        "status": "TRADING",
        "balance": "100000.00000000",
        "placed": "NEW",
        "queried": "NEW",
        "open": 1,
        "cancelled": "CANCELED",
        "late": -2011,
        "poor": -2010,
        "symbol": -1121,
        "pair": ["EXECUTING", 1, "ALL_DONE", 0],
        "market": "FILLED",
        "fills": True,
    }
    assert seen["sockets"] == {
        "trade": "trade",
        "depth": "depthUpdate",
        "user": ["executionReport", "outboundAccountPosition"],
        "placed_ws": "NEW",
    }
