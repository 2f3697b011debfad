"""Copy a leader's trades to three followers, one of whom cannot pay, on an exchange on localhost.

    python examples/copy_trade.py
    python examples/copy_trade.py --url URL --store FILE --until 20

The first starts the exchange, trades as the leader, and prints what was copied. The second copies a leader who trades
elsewhere at an exchange that runs already, until 20 of his fills are copied.

Kill it at any moment and start it again with the same --store: nothing is copied twice, and nothing is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import urllib.request
from decimal import Decimal
from pathlib import Path

from tickdeck.application.commands import (
    CopyRule,
    CopyTrading,
    Dispatcher,
    ExecuteCopyTradeCommand,
    ExecuteCopyTradeHandler,
    Follower,
    LeaderTrade,
    OpenTrades,
    ReconcileTradeCommand,
    ReconcileTradeHandler,
    UnitOfWork,
    retry_on_conflict,
)
from tickdeck.application.ports import Exchange, OrderRequest, TapeQuery
from tickdeck.bootstrap import RecordedBus, close_bus, open_bus
from tickdeck.domain.events import DomainEvent, TradeExecutedEvent, TradeFailedEvent, VenueFillReported
from tickdeck.domain.values import Side
from tickdeck.infrastructure.exchanges.factory import ExchangeFactory

SYMBOL = "BTCUSDT"
FOLLOWERS = (
    Follower(account_id="ada", user_id="Ada", rule=CopyRule(sizing="multiple", amount=Decimal("0.5"))),
    Follower(account_id="bob", user_id="Bob", rule=CopyRule(sizing="fixed", amount=Decimal(100))),
    Follower(account_id="carl", user_id="Carl"),  # has 1 USDT
)
DEPOSITS = {"ada": "50000", "bob": "50000", "carl": "1"}


def leader_trade(event: DomainEvent) -> LeaderTrade | None:
    """What a fill of the leader trades."""
    if not isinstance(event, VenueFillReported) or event.account_id != "leader":
        return None
    return LeaderTrade(
        trade_id=f"{event.symbol}-{event.venue_trade_id}",
        symbol=event.symbol,
        side=event.side,
        quantity=event.quantity,
        price=event.price,
    )


async def publish_fills(bus: RecordedBus, leader: Exchange) -> int:
    """Publish the leader's fills that are not on the store yet. Returns how many there are in all."""
    known = list(bus.store.read(TapeQuery(types=("venue.fill_reported",))))
    last = known[-1] if known else None
    after = last.venue_trade_id if isinstance(last, VenueFillReported) else ""
    for fill in await leader.fills(SYMBOL, since=0 if after else 1, after=after):
        report = VenueFillReported(
            order_id=fill.client_order_id or fill.venue_order_id, symbol=SYMBOL, account_id="leader", side=fill.side,
            price=fill.price, quantity=fill.quantity, venue_trade_id=fill.venue_trade_id, ts=fill.ts,
        )  # fmt: skip
        await bus.publish(report).durable()
        known.append(report)
    return len(known)


async def copy(url: str, store: Path, until: int) -> None:
    """Copy until the leader has ``until`` fills, and each follower has copied them or could not."""
    exchanges = {name: account(url, name) for name in ("leader", *DEPOSITS)}
    bus = open_bus(store)
    open_trades = OpenTrades(bus)
    parts = (lambda: UnitOfWork(bus)), exchanges.__getitem__, open_trades
    dispatcher = Dispatcher(retry_on_conflict())
    dispatcher.register(ExecuteCopyTradeCommand, ExecuteCopyTradeHandler(*parts))
    dispatcher.register(ReconcileTradeCommand, ReconcileTradeHandler(*parts))
    copying = CopyTrading(dispatcher, FOLLOWERS, leader_trade, open_trades)
    await copying.reconcile()  # what an earlier process left open
    copying.follow(bus, VenueFillReported)
    while await publish_fills(bus, exchanges["leader"]) < until:  # noqa: ASYNC110 (an exchange tells only who asks)
        await asyncio.sleep(0.05)
    await bus.drain()
    while await copying.reconcile():  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    for event in bus.store.read(TapeQuery(types=("trade.executed", "trade.failed"))):
        if isinstance(event, TradeExecutedEvent):
            print(f"{event.user_id:5} {event.side} {event.executed_quantity} {SYMBOL} at {event.executed_price:.2f}")
        elif isinstance(event, TradeFailedEvent):
            print(f"{event.user_id:5} did not copy: {event.reason}")
    await close_bus(bus)
    for exchange in exchanges.values():
        await exchange.close()


def account(url: str, name: str) -> Exchange:
    """The account ``name`` at the exchange on localhost."""
    keys = {f"{name.upper()}_API_KEY": f"{name}-key", f"{name.upper()}_API_SECRET": f"{name}-secret"}
    entry = {"exchange": "binance", "url": url, "credentials": f"env:{name.upper()}"}
    return ExchangeFactory.create_exchange(name, entry, environment=keys)


def open_accounts(url: str) -> None:
    """The leader's and the followers' accounts."""
    for name, amount in {"leader": "100000", **DEPOSITS}.items():
        body = {"name": name, "key": f"{name}-key", "secret": f"{name}-secret", "deposits": {"USDT": amount}}
        request = urllib.request.Request(f"{url}/admin/account", json.dumps(body).encode(), method="POST")
        urllib.request.urlopen(request).close()


async def lead(url: str, orders: int) -> None:
    """Trade as the leader: buy, and sell half of it."""
    leader = account(url, "leader")
    await leader.instruments()
    for number in range(orders):
        side, quantity = (Side.BUY, "0.02") if number % 2 == 0 else (Side.SELL, "0.01")
        await leader.place(
            OrderRequest(client_order_id=f"lead-{number}", symbol=SYMBOL, side=side, quantity=Decimal(quantity))
        )
    await leader.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Copy a leader's trades to three followers.")
    parser.add_argument("--url", help="an exchange that runs already, with the accounts of this example")
    parser.add_argument("--store", type=Path, help="where the events are kept")
    parser.add_argument("--until", type=int, default=1, help="end after so many fills of the leader")
    options = parser.parse_args()
    if options.url:
        asyncio.run(copy(options.url, options.store or Path("copies.db"), options.until))
        return
    command = [sys.executable, "-m", "tickdeck", "venue", "--port", "0", "--json"]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(command, stdout=subprocess.PIPE) as venue:
        try:
            assert venue.stdout is not None
            url = json.loads(venue.stdout.readline())["url"]
            open_accounts(url)
            asyncio.run(lead(url, orders=2))
            asyncio.run(copy(url, Path(folder) / "copies.db", until=2))
        finally:
            venue.terminate()


if __name__ == "__main__":
    main()
