"""ccxt and ccxt.pro against a venue: prints what they saw as JSON. ``ccxt_client.py HOST:PORT KEY SECRET``."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import ccxt
import ccxt.pro

HOST, KEY, SECRET = sys.argv[1:]


def redirect(urls: Any) -> Any:
    if isinstance(urls, dict):
        return {name: redirect(url) for name, url in urls.items()}
    if not isinstance(urls, str) or "://" not in urls:
        return urls
    scheme, _, rest = urls.partition("://")
    return f"{'ws' if scheme.startswith('ws') else 'http'}://{HOST}/{rest.partition('/')[2]}"


def make(kind: Any, secret: str = SECRET) -> Any:
    options = {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchMargins": False}
    exchange = kind({"apiKey": KEY, "secret": secret, "enableRateLimit": False, "options": options})
    exchange.urls["api"] = redirect(exchange.urls["api"])
    exchange.has["fetchCurrencies"] = False
    return exchange


def error_of(call: Any) -> str:
    try:
        call()
    except ccxt.BaseError as error:
        return type(error).__name__
    return "no error"


def rest() -> dict[str, Any]:
    exchange, symbol = make(ccxt.binance), "BTC/USDT"
    seen: dict[str, Any] = {"markets": list(exchange.load_markets())}
    seen["time"] = exchange.fetch_time() > 0
    seen["book"] = len(exchange.fetch_order_book(symbol, 5)["bids"])
    seen["ticker"] = exchange.fetch_ticker(symbol)["last"] > 0
    seen["trades"] = len(exchange.fetch_trades(symbol, limit=5))
    seen["candles"] = len(exchange.fetch_ohlcv(symbol, "1m")) > 0
    seen["balance"] = exchange.fetch_balance()["USDT"]["total"]
    order = exchange.create_order(symbol, "limit", "buy", 0.01, 20_000, {"newClientOrderId": "one"})
    seen["placed"] = [order["status"], order["clientOrderId"]]
    seen["queried"] = exchange.fetch_order(order["id"], symbol)["status"]
    seen["open"] = len(exchange.fetch_open_orders(symbol))
    seen["duplicate"] = error_of(
        lambda: exchange.create_order(symbol, "limit", "buy", 0.01, 20_000, {"newClientOrderId": "one"})
    )
    seen["cancelled"] = exchange.cancel_order(order["id"], symbol)["status"]
    market = exchange.create_order(symbol, "market", "buy", 0.01)
    seen["market"] = [market["status"], market["filled"], len(market["trades"]) > 0]
    seen["fills"] = sum(trade["amount"] for trade in exchange.fetch_my_trades(symbol))
    seen["poor"] = error_of(lambda: exchange.create_order(symbol, "limit", "buy", 100, 60_000))
    seen["late"] = error_of(lambda: exchange.cancel_order(order["id"], symbol))
    seen["unknown"] = error_of(lambda: exchange.fetch_order("99999999", symbol))
    seen["post_only"] = error_of(
        lambda: exchange.create_order(symbol, "limit", "buy", 0.01, 100_000, {"postOnly": True})
    )
    pair = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.01", "aboveType": "LIMIT_MAKER"}
    pair |= {"abovePrice": "200000", "belowType": "STOP_LOSS", "belowStopPrice": "1000"}
    listed = exchange.private_post_orderlist_oco(pair)
    seen["pair"] = [listed["listOrderStatus"], [order["type"] for order in exchange.fetch_open_orders(symbol)]]
    exchange.private_delete_orderlist({"symbol": "BTCUSDT", "orderListId": listed["orderListId"]})
    seen["signature"] = error_of(lambda: make(ccxt.binance, "wrong").fetch_balance())
    return seen


async def sockets() -> dict[str, Any]:
    exchange, symbol = make(ccxt.pro.binance), "BTC/USDT"
    try:
        await exchange.load_markets()
        seen: dict[str, Any] = {"trade": (await exchange.watch_trades(symbol))[0]["price"] > 0}
        for _ in range(10):  # each must follow the one before, or ccxt raises
            book = await exchange.watch_order_book(symbol)
        seen["book"] = book["bids"][0][0] < book["asks"][0][0]
        seen["ticker"] = (await exchange.watch_bids_asks([symbol]))[symbol]["bid"] > 0
        orders = asyncio.create_task(exchange.watch_orders(symbol))
        balance = asyncio.create_task(exchange.watch_balance())
        await asyncio.sleep(1)
        order = await exchange.create_order(symbol, "limit", "buy", 0.01, 20_000)
        seen["order"] = [(event["status"], event["id"] == order["id"]) for event in await orders]
        seen["locked"] = (await balance)["USDT"]["used"]
        await exchange.cancel_order(order["id"], symbol)
        placed = await exchange.create_order_ws(symbol, "limit", "buy", 0.01, 20_000)
        seen["placed_ws"] = placed["status"]
        seen["cancelled_ws"] = (await exchange.cancel_order_ws(placed["id"], symbol))["status"]
        return seen
    finally:
        await exchange.close()


print(json.dumps({"rest": rest(), "sockets": asyncio.run(asyncio.wait_for(sockets(), 40))}))
