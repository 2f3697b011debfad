"""python-binance against a venue: prints what it saw as JSON. ``python_binance_client.py HOST:PORT KEY SECRET``."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from binance import AsyncClient, BinanceSocketManager, Client
from binance.exceptions import BinanceAPIException

HOST, KEY, SECRET = sys.argv[1:]
Client.API_URL = AsyncClient.API_URL = f"http://{HOST}/api"
AsyncClient.WS_API_URL = f"ws://{HOST}/ws-api/v3"
BinanceSocketManager.STREAM_URL = f"ws://{HOST}/"
LIMIT = {"symbol": "BTCUSDT", "quantity": "0.01", "price": "20000"}


def error_of(call: Any) -> int:
    try:
        call()
    except BinanceAPIException as error:
        return error.code
    return 0


def rest() -> dict[str, Any]:
    client = Client(KEY, SECRET)
    seen: dict[str, Any] = {"status": client.get_symbol_info("BTCUSDT")["status"]}
    seen["balance"] = client.get_asset_balance("USDT")["free"]
    order = client.order_limit_buy(**LIMIT)
    which = {"symbol": "BTCUSDT", "orderId": order["orderId"]}
    seen["placed"] = order["status"]
    seen["queried"] = client.get_order(**which)["status"]
    seen["open"] = len(client.get_open_orders())
    seen["cancelled"] = client.cancel_order(**which)["status"]
    seen["late"] = error_of(lambda: client.cancel_order(**which))
    seen["poor"] = error_of(lambda: client.order_limit_buy(symbol="BTCUSDT", quantity="100", price="60000"))
    seen["symbol"] = error_of(lambda: client.get_order_book(symbol="NOPE"))
    pair = client.create_oco_order(
        symbol="BTCUSDT",
        side="BUY",
        quantity="0.01",
        aboveType="STOP_LOSS",
        aboveStopPrice="900000",
        belowType="LIMIT_MAKER",
        belowPrice="20000",
    )
    listed = {"symbol": "BTCUSDT", "orderListId": pair["orderListId"]}
    seen["pair"] = [pair["listOrderStatus"], len(client.get_open_oco_orders())]
    seen["pair"] += [client.v3_delete_order_list(**listed)["listOrderStatus"], len(client.get_open_orders())]
    seen["market"] = client.order_market_sell(symbol="BTCUSDT", quantity="0.01")["status"]
    seen["fills"] = len(client.get_my_trades(symbol="BTCUSDT")) > 0
    return seen


async def sockets() -> dict[str, Any]:
    client = await AsyncClient.create(KEY, SECRET)
    try:
        manager, seen = BinanceSocketManager(client), {}
        async with manager.trade_socket("BTCUSDT") as stream:
            seen["trade"] = (await stream.recv())["e"]
        async with manager.depth_socket("BTCUSDT") as stream:
            seen["depth"] = (await stream.recv())["e"]
        async with manager.user_socket() as stream:
            await asyncio.sleep(1)
            order = await client.order_limit_buy(**LIMIT)
            seen["user"] = [(await stream.recv())["e"] for _ in range(2)]
            await client.cancel_order(symbol="BTCUSDT", orderId=order["orderId"])
        placed = await client.ws_create_order(side="BUY", type="LIMIT", timeInForce="GTC", **LIMIT)
        seen["placed_ws"] = placed["status"]
        return seen
    finally:
        await client.close_connection()


print(json.dumps({"rest": rest(), "sockets": asyncio.run(asyncio.wait_for(sockets(), 40))}))
