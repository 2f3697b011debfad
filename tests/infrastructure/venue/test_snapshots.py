"""Snapshots of the venue: a restart from one is as good as one from the whole journal."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tickdeck.errors import InputError
from tickdeck.infrastructure.venue import Account, Exchange
from tickdeck.infrastructure.venue.commands import Convert, PlaceList, Reduce
from tickdeck.infrastructure.venue.journal import Journal
from tickdeck.infrastructure.venue.markets import market_of
from tickdeck.infrastructure.venue.matching import NewOrder, OrderRefused, SelfTrade, Tif, Type
from tickdeck.infrastructure.venue.matching.state import capture_engine
from tickdeck.infrastructure.venue.snapshots import Snapshots

D = Decimal
NOW = 1_795_210_440_000_000_000
SYMBOLS = ("BTCUSDT", "BNBUSDT")


class Venue:
    def __init__(self, path: Path, every: int) -> None:
        self.log = Journal(path)
        self.exchange = Exchange([market_of(symbol) for symbol in SYMBOLS], self.log)
        self.snapshots = Snapshots(self.exchange, self.log, every=every)
        try:
            self.executed_again = self.snapshots.restore()
        except InputError:
            self.log.close()
            raise

    def state(self) -> bytes:
        exchange = self.exchange
        histories = {symbol: history.state() for symbol, history in exchange.history.items()}
        fills = {account: list(fills) for account, fills in exchange.fills.items()}
        accounts = list(exchange.accounts.values())
        history = [{name: list(kept) for name, kept in of.items()} for of in (exchange.transfers, exchange.conversions)]
        return msgspec.json.encode([capture_engine(exchange.engine), histories, fills, accounts, history])


def open_accounts(exchange: Exchange) -> None:
    for name, asset in (("ann", "BNB"), ("bob", "")):
        account = Account(name=name, key=name, secret="s", pays_fees_in=asset)
        exchange.open_account(account, NOW, USDT=D(1_000_000), BTC=D(20), BNB=D(50))


def pair_at_random(exchange: Exchange, rng: random.Random, account: str, symbol: str) -> PlaceList:
    is_buy, away = rng.random() < 0.5, rng.randint(1, 6)
    target, stop = (100 - away, 100 + away) if is_buy else (100 + away, 100 - away)
    shared: dict[str, Any] = {"account": account, "symbol": symbol, "is_buy": is_buy, "quantity": D(1)}
    first = NewOrder(**shared, type=Type.LIMIT_MAKER, price=D(target), client_id=exchange.new_client_id())
    second = NewOrder(**shared, type=Type.STOP_LOSS, stop_price=D(stop), client_id=exchange.new_client_id())
    return PlaceList((first, second), exchange.new_client_id())


def trade_at_random(exchange: Exchange, seed: int, count: int) -> None:
    rng = random.Random(seed)
    for step in range(count):
        now, account, symbol = NOW + seed * 10**12 + step * 10**8, rng.choice(("ann", "bob")), rng.choice(SYMBOLS)
        mine = exchange.engine.open_orders(account, symbol)
        kind = rng.choice(list(Type))
        choice = rng.random()
        try:
            if mine and choice < 0.25:
                exchange.cancel(rng.choice(mine), now, exchange.new_client_id())
            elif mine and choice < 0.3:
                order = rng.choice(mine)
                exchange.submit(
                    Reduce(account, symbol, order.number, order.quantity / 2, exchange.new_client_id()), now
                )
            elif choice < 0.32:
                exchange.convert(Convert(account, "USDT", D(3), "BNB", D(1), dust=step % 2 > 0), now)
            elif choice < 0.45:
                exchange.submit(pair_at_random(exchange, rng, account, symbol), now)
            else:
                price = D(rng.randint(95, 105)) if kind.has_price else None
                timed = kind in (Type.LIMIT, Type.STOP_LOSS_LIMIT)
                order_now = NewOrder(
                    account=account,
                    symbol=symbol,
                    is_buy=rng.random() < 0.5,
                    type=kind,
                    quantity=D(rng.randint(1, 8)) / 4,
                    price=price,
                    stop_price=D(rng.randint(90, 110)) if kind.is_stop else None,
                    tif=rng.choice(list(Tif)) if timed else Tif.GTC,
                    client_id=exchange.new_client_id(),
                    self_trade=rng.choice(list(SelfTrade)),
                )
                exchange.place(order_now, now)
        except OrderRefused:
            continue


@pytest.mark.parametrize("seed", range(5))
def test_a_venue_restored_from_a_snapshot_equals_one_restored_from_the_journal(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "journal"
    before = Venue(path, every=70)
    open_accounts(before.exchange)
    trade_at_random(before.exchange, seed, 400)
    before.log.close()

    restored = Venue(path, every=10**9)
    assert 0 < restored.executed_again < 70
    assert restored.state() == before.state()

    restored.log.close()
    path.with_name("journal.snapshot").unlink()
    replayed = Venue(path, every=10**9)
    assert replayed.executed_again > 200
    for venue in (restored, replayed):
        venue.exchange._log = None  # both continue from here, side by side
        trade_at_random(venue.exchange, seed + 100, 200)
    assert restored.state() == replayed.state()
    assert restored.exchange.engine.lists.by_number
    assert restored.exchange.given_ids == replayed.exchange.given_ids


DIES = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_snapshots as t

venue = t.Venue(Path(sys.argv[1]), every=50)
t.open_accounts(venue.exchange)
left = int(sys.argv[3])
fsync, replace = os.fsync, Path.replace
def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)
def counted(real):
    def call(*args):
        global left
        left -= 1
        return real(*args) if left > 0 else die()
    return call
os.fsync, Path.replace = counted(fsync), counted(replace)
t.trade_at_random(venue.exchange, 3, 1_000)
"""


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_venue_killed_while_writing_a_snapshot_is_restored(tmp_path: Path, steps: int) -> None:
    """It dies before it syncs a snapshot, and before it puts it in place; the first one and the second."""
    path = tmp_path / "journal"
    done = subprocess.run(
        [sys.executable, "-c", DIES, str(path), str(Path(__file__).parent), str(steps)], check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert path.with_name("journal.snapshot").exists() == (steps > 2)

    restored = Venue(path, every=10**9)
    restored.log.close()
    path.with_name("journal.snapshot").unlink(missing_ok=True)
    replayed = Venue(path, every=10**9)
    assert restored.state() == replayed.state()
    assert replayed.executed_again >= 50 * ((steps + 1) // 2)


def test_a_snapshot_that_is_damaged_or_of_another_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    venue = Venue(path, every=10**9)
    open_accounts(venue.exchange)
    venue.snapshots.write()
    venue.log.close()
    snapshot = tmp_path / "journal.snapshot"
    assert snapshot.stat().st_mode & 0o077 == 0  # it has the secrets of accounts

    whole = snapshot.read_bytes()
    snapshot.write_bytes(whole[:-10])
    with pytest.raises(InputError, match=r"damaged.*remove it"):
        Venue(path, every=10**9)
    snapshot.write_bytes(whole)
    path.write_bytes(path.read_bytes().replace(b"bob", b"eve"))
    with pytest.raises(InputError, match="not of the journal"):
        Venue(path, every=10**9)
