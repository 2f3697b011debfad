"""The time from when a frame leaves the venue until the signed order that it caused arrives there, over real sockets.

The venue is a separate process. It sends best prices at a fixed rate, and notes when each left and when the order with
its price arrived. The run is a complete live run: decoding, strategy, risk, execution, gateway and tape.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import TickEvent
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import TimeInForce
from tickdeck.interfaces.bench.latency import Latencies
from tickdeck.interfaces.bench.session import Figures, Session

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["EachMark", "serve", "tick_to_order"]

_SYMBOL = "BTCUSDT"
_MARK = "7.00000000"  # the bid quantity of a tick that the strategy answers
_ORDERS_A_SECOND = 50
_LEAD_IN = 1.0  # seconds of warm-up, which do not count


class EachMark(Strategy):
    """Sells at the bid of each marked tick, immediately or not at all."""

    def on_tick(self, tick: TickEvent) -> None:
        if tick.bid_quantity == 7:
            self.sell(tick.symbol, Decimal("0.001"), limit=tick.bid_price, time_in_force=TimeInForce.IOC)


def tick_to_order(*, rate: int, seconds: float) -> Session:
    """``rate`` frames per second for ``seconds``, 50 of them answered with an order."""

    def run() -> Figures:
        program = f"from tickdeck.interfaces.bench.tick_to_order import serve; serve({rate}, {seconds})"
        with subprocess.Popen(  # noqa: S603 (our own words)
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
        ) as venue:
            assert venue.stdout is not None
            url = venue.stdout.readline().strip()
            try:
                with tempfile.TemporaryDirectory() as data:
                    asyncio.run(_trade(url, Path(data), seconds))
                measured = json.loads(venue.stdout.readline())
            finally:
                venue.kill()
        if not measured:
            raise RuntimeError(f"no order reached the venue in {seconds:g} s: the machine is too busy to measure")
        latencies = Latencies()
        for ns in measured:
            latencies.add(ns)
        figures = latencies.figures()
        return {"value": figures["p99_ms"], "orders": float(len(measured)), **figures}

    return run


async def _trade(url: str, data: Path, seconds: float) -> None:
    from tickdeck.bootstrap import start_live_run
    from tickdeck.infrastructure.accounts import AccountConfig
    from tickdeck.infrastructure.config import RunConfig, StrategyConfig

    os.environ["BENCH_API_KEY"], os.environ["BENCH_API_SECRET"] = "key", "secret"
    big = Decimal(10) ** 12
    run = start_live_run(
        RunConfig(
            strategies=(StrategyConfig(spec="tickdeck.interfaces.bench.tick_to_order:EachMark"),),
            exchange="binance",
            exchange_url=url,
            live=True,
            accounts={"main": AccountConfig(exchange="binance", credentials="env:BENCH")},
            risk=RiskLimits(max_order_notional=big, max_position_notional=big, max_daily_loss=big),
            duration=Decimal(str(seconds + 2 * _LEAD_IN)),
        ),
        data,
    )
    try:
        await run.drive(None)
    finally:
        run.close()


# -- the venue's process ------------------------------------------------------------------------------------------


def serve(rate: int, seconds: float) -> None:
    """Serve as the venue until killed: print the URL, then the latencies (ns) as a JSON list."""
    asyncio.run(_Venue(rate, seconds).serve())


class _Venue:
    def __init__(self, rate: int, seconds: float) -> None:
        self._rate, self._seconds = rate, seconds
        self._left: dict[str, int] = {}  # when the marked frame with this price left
        self._took: list[int] = []
        self._numbers = 0

    async def serve(self) -> None:
        from aiohttp import web

        app = web.Application()
        app.router.add_get("/stream", self._stream)
        app.router.add_get("/ws-api/v3", self._private)
        app.router.add_post("/api/v3/order", self._order)
        app.router.add_get("/{path:.*}", self._query)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        _say(f"http://127.0.0.1:{runner.addresses[0][1]}")
        await asyncio.Event().wait()

    async def _order(self, request: web.Request) -> web.StreamResponse:
        arrived = time.perf_counter_ns()
        from aiohttp import web

        assert isinstance(request, web.Request)
        text = request.query_string or (await request.read()).decode()
        order = {name: values[0] for name, values in parse_qs(text).items()}
        left = self._left.pop(order["price"], None)
        if left is not None:
            self._took.append(arrived - left)
        self._numbers += 1
        answer = {
            "symbol": _SYMBOL, "orderId": self._numbers, "orderListId": -1, "clientOrderId": order["newClientOrderId"],
            "transactTime": time.time_ns() // 1_000_000, "price": order["price"], "origQty": order["quantity"],
            "executedQty": "0.00000000", "cummulativeQuoteQty": "0.00000000", "status": "EXPIRED",
            "timeInForce": "IOC", "type": "LIMIT", "side": "SELL", "fills": [],
        }  # fmt: skip
        return web.json_response(answer)

    async def _query(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        steps = [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
        ]
        symbol = {"symbol": _SYMBOL, "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "filters": steps}
        balances = [{"asset": "BTC", "free": "1000000", "locked": "0"}, {"asset": "USDT", "free": "0", "locked": "0"}]
        answers: dict[str, object] = {
            "/api/v3/time": {"serverTime": time.time_ns() // 1_000_000},
            "/api/v3/exchangeInfo": {"symbols": [symbol], "rateLimits": [_NO_LIMIT]},
            "/api/v3/account": {"balances": balances},
            "/api/v3/openOrders": [],
        }
        return web.json_response(answers.get(request.path, {}))

    async def _private(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        connection = web.WebSocketResponse()
        await connection.prepare(request)
        async for message in connection:
            asked = json.loads(message.data)
            await connection.send_str(json.dumps({"id": asked["id"], "status": 200, "result": {"subscriptionId": 0}}))
        return connection

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        connection = web.WebSocketResponse(compress=False)
        await connection.prepare(request)
        await connection.receive()
        await connection.send_str('{"result":null,"id":1}')
        with contextlib.suppress(ConnectionError):
            await self._send(connection)
        _say(json.dumps(self._took))
        await connection.receive()
        return connection

    async def _send(self, connection: web.WebSocketResponse) -> None:
        """Send what is due, and sleep for a millisecond or until the next frame is due."""
        clock, gap = time.perf_counter_ns, 1_000_000_000 // self._rate
        every = max(self._rate // _ORDERS_A_SECOND, 1)
        began = clock()
        lead_in = round(_LEAD_IN * self._rate)
        for number in range(lead_in + round(self._seconds * self._rate)):
            due = began + number * gap
            while (now := clock()) < due:  # noqa: ASYNC110 (it waits for a time)
                await asyncio.sleep(max((due - now) / 1e9 - 0.000_1, 0))
            price = f"{60_000 + number % 500_000 / 100:.2f}"
            marked = number % every == 0
            if marked and number >= lead_in:
                self._left[price] = clock()
            quantity = _MARK if marked else "1.00000000"
            await connection.send_str(
                f'{{"stream":"btcusdt@bookTicker","data":{{"u":{number + 1},"s":"{_SYMBOL}","b":"{price}",'
                f'"B":"{quantity}","a":"70000.00","A":"1.00000000"}}}}'
            )
        await asyncio.sleep(0.5)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


_NO_LIMIT = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 1_000_000}
