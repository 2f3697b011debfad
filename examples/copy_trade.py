"""Copy a leader's trades to three followers, one of whom cannot pay, on an exchange on localhost.

    python examples/copy_trade.py

It starts the exchange, trades as the leader, and prints each copy as it ends. To kill the copying and start it again,
let the exchange and the leader's trades outlive it:

    tickdeck venue --port 8080                                         # in a terminal of its own
    python examples/copy_trade.py --url http://127.0.0.1:8080 --lead 30
    python examples/copy_trade.py --url http://127.0.0.1:8080 --store copies.db --until 30

The second opens the accounts and trades as the leader; the third copies. Kill it at any moment and repeat it with the
same --store: nothing is copied twice, and nothing is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
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
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.events import DomainEvent, TradeExecutedEvent, TradeFailedEvent, VenueFillReported
from tickdeck.domain.values import Side
from tickdeck.errors import AuthenticationFailed, TickdeckError
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
    try:
        open_trades = OpenTrades(bus)
        parts = (lambda: UnitOfWork(bus)), exchanges.__getitem__, open_trades
        dispatcher = Dispatcher(retry_on_conflict())
        dispatcher.register(ExecuteCopyTradeCommand, ExecuteCopyTradeHandler(*parts))
        dispatcher.register(ReconcileTradeCommand, ReconcileTradeHandler(*parts))
        copying = CopyTrading(dispatcher, FOLLOWERS, leader_trade, open_trades)
        bus.subscribe("trade.*", report)
        await copying.reconcile()  # what an earlier process left open
        copying.follow(bus, VenueFillReported)
        while await publish_fills(bus, exchanges["leader"]) < until:  # noqa: ASYNC110 (an exchange tells only who asks)
            await asyncio.sleep(0.05)
        await bus.drain()
        while await copying.reconcile():  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        await bus.drain()
        ended = list(bus.store.read(TapeQuery(types=("trade.executed", "trade.failed"))))
        executed = sum(isinstance(event, TradeExecutedEvent) for event in ended)
        print(f"{len(ended)} copies in the store: {executed} executed, {len(ended) - executed} failed")
    finally:
        await close_bus(bus)
        for exchange in exchanges.values():
            await exchange.close()


async def report(event: DomainEvent) -> None:
    """Print how a copy ended, once that is on disk."""
    if isinstance(event, TradeExecutedEvent):
        amount = f"{event.executed_quantity} {SYMBOL} at {event.executed_price:.2f}"
        print(f"{event.user_id:5} {event.side} {amount}", flush=True)
    elif isinstance(event, TradeFailedEvent):
        print(f"{event.user_id:5} did not copy: {event.reason}", flush=True)


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


async def lead(url: str, orders: int) -> int:
    """Trade as the leader: buy, and sell half of it. Returns how many fills the leader has."""
    leader = account(url, "leader")
    try:
        await leader.instruments()
        for number in range(orders):
            side, quantity = (Side.BUY, "0.02") if number % 2 == 0 else (Side.SELL, "0.01")
            await leader.place(
                OrderRequest(client_order_id=f"lead-{number}", symbol=SYMBOL, side=side, quantity=Decimal(quantity))
            )
        return len(await leader.fills(SYMBOL, since=1))
    finally:
        await leader.close()


async def show(folder: Path) -> None:
    """Everything in one process: an exchange on localhost, a leader with two orders, and the copies."""
    async with open_venue([]) as venue:
        await asyncio.to_thread(open_accounts, venue.url)
        await copy(venue.url, folder / "copies.db", until=await lead(venue.url, orders=2))


def run(options: argparse.Namespace) -> None:
    """Do what the options say."""
    if options.url is None:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(show(Path(folder)))
    elif options.lead is not None:
        open_accounts(options.url)
        print("fills of the leader:", asyncio.run(lead(options.url, options.lead)))
    else:
        asyncio.run(copy(options.url, options.store or Path("copies.db"), options.until or 1))


def main() -> None:
    parser = argparse.ArgumentParser(description="Copy a leader's trades to three followers.")
    parser.add_argument("--url", help="an exchange that runs already; default: one that ends with this program")
    parser.add_argument("--lead", type=int, metavar="N", help="open the accounts there, trade N times as the leader")
    parser.add_argument("--store", type=Path, help="where the events are kept; default: copies.db")
    parser.add_argument("--until", type=int, help="end after so many fills of the leader; default: 1")
    options = parser.parse_args()
    if options.url is None and (options.lead, options.store, options.until) != (None, None, None):
        parser.error("--lead, --store and --until need --url: without it, the exchange ends with this program")
    if options.lead is not None and (options.store, options.until) != (None, None):
        parser.error("--lead only trades; omit --store and --until, and copy with a second command")
    try:
        run(options)
    except AuthenticationFailed as error:
        sys.exit(f"error: {error}; on `tickdeck venue`, --lead opens the accounts of this example")
    except (TickdeckError, OSError) as error:
        sys.exit(f"error: {options.url or 'the exchange'}: {error}")


if __name__ == "__main__":
    main()
