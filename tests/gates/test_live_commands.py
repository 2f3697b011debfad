"""Gate: orders of the operator at an exchange on localhost, through the control socket of a run with real orders."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_live_orders import check, config, shorten_lag

from tickdeck.bootstrap import LiveRun, SessionQueries, resume_run, start_live_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.infrastructure.config import StrategyConfig
from tickdeck.infrastructure.control import Answer, CommandDesk, ControlServer, Request, ask, query

FAULTS = ["seed=3 drop_ack=0.3 duplicate_fill=0.5", "seed=3 late_fill=0.4:500ms fill_before_ack=0.4:100ms"]
IDLE = """
from tickdeck import Strategy

class Idle(Strategy):
    pass
"""


@pytest.fixture(autouse=True)
def exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_lag(monkeypatch.setattr)
    monkeypatch.setenv("DEMO_API_KEY", "demo-key")
    monkeypatch.setenv("DEMO_API_SECRET", "demo-secret")


class Client:
    """The second terminal. It sends each command twice, as if the first answer had been lost."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sent = 0
        self.is_over = threading.Event()  # the run has ended, so nothing more happens to an order

    def command(self, command: str, **arguments: str) -> Answer:
        self.sent += 1
        request = Request(command=command, id=f"c{self.sent}", arguments=arguments, reason="by hand")
        first, again = ask(self.folder, request), ask(self.folder, request)
        assert first is not None
        assert again == msgspec.structs.replace(first, repeated=True)
        return first

    def order(self, side: str, quantity: str, **more: str) -> str:
        answer = self.command("submit", side=side, symbol="BTCUSDT", quantity=quantity, **more)
        assert answer.accepted, answer.problems
        return str(answer.events[-1]["order_id"])

    def wait(self, order_id: str, *statuses: str) -> dict[str, Any]:
        """The order, when it has one of ``statuses``. Fails if it ended in another way, or if the run did."""
        order: dict[str, Any] = {}
        while not self.is_over.is_set():
            for what in ("orders", "history"):
                for order in (query(self.folder, what, {"strategy": "operator"}) or {})["orders"]:
                    if order["order_id"] == order_id:
                        if order["status"] in statuses:
                            return order
                        assert what == "orders", f"the order ended: {order}"
        raise AssertionError(f"the run ended before order {order_id} was {' or '.join(statuses)}: {order}")

    def trade(self, side: str, quantity: str, **more: str) -> dict[str, Any]:
        """A filled market order. One that met an empty book expires, and another follows."""
        while True:
            order = self.wait(self.order(side, quantity, **more), "filled", "expired")
            if order["status"] == "filled":
                return order


def work(client: Client) -> None:
    bought = client.trade("buy", "0.02")
    price = (Decimal(bought["average_price"]) * Decimal("0.97")).quantize(Decimal("0.01"))
    resting = client.order("buy", "0.02", limit=str(price))
    client.wait(resting, "accepted", "cancelled")  # the latter after a resume
    client.command("amend", order_id=resting, quantity="0.015")
    client.command("cancel", order_id=resting)
    assert Decimal(client.wait(resting, "cancelled")["filled"]) == 0
    client.trade("sell", "0.01", reduce_only="true")
    refused = client.command("submit", side="buy", symbol="BTCUSDT", quantity="5")
    assert "max_order_notional" in refused.problems[0]


async def play(run: LiveRun) -> None:
    async with ControlServer(
        run.folder, CommandDesk(run.kernel, run.tape.read, caught_up=run.caught_up), SessionQueries(run).answer
    ):
        client = Client(run.folder)
        driving = asyncio.create_task(run.drive(None))
        driving.add_done_callback(lambda _: client.is_over.set())
        while not run.caught_up() or run.core.market_data.price("BTCUSDT") is None:
            if driving.done():
                await driving
            await asyncio.sleep(0.01)
        try:
            await asyncio.to_thread(work, client)
        finally:
            run.driver.request_stop()
            await driving
            run.close()


@pytest.mark.long
@pytest.mark.parametrize("faults", ["", *(pytest.param(fault, marks=pytest.mark.slow) for fault in FAULTS)])
def test_the_orders_of_the_operator_are_those_of_the_exchange(tmp_path: Path, faults: str) -> None:
    (tmp_path / "idle.py").write_text(IDLE)

    async def trade() -> None:
        async with open_venue(("BTCUSDT",), seed=3, faults=faults) as venue:
            wanted = config(venue.url, 600, strategies=(StrategyConfig(spec=f"{tmp_path / 'idle.py'}:Idle"),))
            run = start_live_run(wanted, tmp_path / "data")
            await play(run)
            await asyncio.to_thread(check, run, venue.url)
            again = resume_run(run.folder)
            assert isinstance(again, LiveRun)
            await play(again)  # the ids are known, so nothing is sent a second time
            await asyncio.to_thread(check, again, venue.url)
            assert again.core.execution.submitted == run.core.execution.submitted

    asyncio.run(trade())
