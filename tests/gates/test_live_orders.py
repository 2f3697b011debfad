"""Real orders at an exchange on localhost: the run ends with what the exchange says, and its proof is identical."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gate_processes import ask, halted_for_the_last_look, kill_live
from many_examples import SEEDS

from tickdeck import bootstrap
from tickdeck.bootstrap import LiveRun, open_record, resume_run, start_live_run, verify_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.events import (
    AccountDifferenceFound,
    CommandReceived,
    OrderCancelledEvent,
    OrderSubmittedEvent,
    RunResumed,
    VenueCircuitChanged,
    VenueFillReported,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus
from tickdeck.errors import ConfigError, RunError
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.config import RunConfig, StrategyConfig
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange

STRATEGIES = Path(__file__).resolve().parent / "gate_strategies.py"
DAY = 86_400  # seconds: longer than any test, for a run that is to go on until it is killed or stopped
LIMITS = RiskLimits(
    max_order_notional=Decimal(20_000), max_position_notional=Decimal(900_000), max_daily_loss=Decimal(5_000)
)
FAULTS = [
    "drop_ack=0.2",
    "drop_request=0.1",
    "http_500=0.15",
    "unknown_status=0.15",
    "duplicate_fill=0.5",
    "late_fill=0.4:1s",
    "lost_fill=0.3",
    "fill_before_ack=0.4:100ms",
    "stale_query=0.5:500ms drop_ack=0.1",
    "disconnect_every=2s",
    "rate_limit_storm=0.05:500ms",
    "clock_skew=3s",
    "private_stream_silent=0.2:2s",
    "gap=0.01 reorder=0.01",
]
ALL = " ".join(fault for fault in FAULTS if "clock_skew" not in fault and "drop_ack=0.1" not in fault)


def shorten_lag(put: Callable[[Any, str, Any], object]) -> None:
    """An order that was never received is known to be so after three seconds: the venue here answers at once, and its
    queries lag for half a second. ``put`` sets an attribute."""
    whole = BinanceExchange.capabilities.fget
    assert whole is not None
    capabilities = property(
        lambda exchange: msgspec.structs.replace(whole(exchange), in_flight=0, query_lag=3_000_000_000)
    )
    put(BinanceExchange, "capabilities", capabilities)


@pytest.fixture(autouse=True)
def short_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_lag(monkeypatch.setattr)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_API_KEY", "demo-key")
    monkeypatch.setenv("DEMO_API_SECRET", "demo-secret")


def config(url: str, seconds: int, **changes: Any) -> RunConfig:
    settings: dict[str, Any] = {
        "strategies": (StrategyConfig(spec=f"{STRATEGIES}:Busy"),),
        "exchange": "binance",
        "exchange_url": url,
        "live": True,
        "accounts": {"main": AccountConfig(exchange="binance", credentials="env:DEMO", owner="ops")},
        "risk": LIMITS,
        "duration": Decimal(seconds),
    }
    return RunConfig(**(settings | changes))


def check(run: LiveRun, url: str) -> None:
    """The run's orders, fills and balances are the exchange's, and its record is proven."""
    truth = {order["client_id"]: order for order in ask(url, "orders?account=demo")}
    ours = run.core.execution.orders
    events = list(open_record(run.folder))
    sent = [event.order_id for event in events if isinstance(event, OrderSubmittedEvent)]

    assert len(truth) == len(ask(url, "orders?account=demo"))
    assert len(set(sent)) == len(sent)
    assert set(truth) <= set(sent)
    for order_id, there in truth.items():
        assert ours[order_id].filled == Decimal(there["filled"]), order_id
        assert ours[order_id].is_open == (there["status"] in ("NEW", "PARTIALLY_FILLED")), order_id
    for order_id in set(ours) - set(truth):
        assert ours[order_id].status in (OrderStatus.REJECTED, OrderStatus.UNKNOWN)
        assert not ours[order_id].filled
    fills = {(event.symbol, event.venue_trade_id) for event in events if isinstance(event, VenueFillReported)}
    assert len(fills) == len(ask(url, "fills?account=demo"))
    for currency, amounts in ask(url, "balances?account=demo")["demo"].items():
        total = Decimal(amounts["free"]) + Decimal(amounts["locked"])
        assert run.core.portfolio.account.balances.get(currency, Decimal(0)) == total, currency
    assert not [event for event in events if isinstance(event, AccountDifferenceFound)]
    verdict, _ = verify_run(run.folder)
    assert verdict.identical


def check_requests(run: LiveRun, url: str) -> None:
    """The exchange was asked at most once for each order and each cancel on the record, whatever process sent it."""
    asked = Counter(ask(url, "state")["asked"])
    recorded = Counter(event.event_type for event in open_record(run.folder))

    assert asked["requests.place"] <= recorded["order.submitted"]
    assert asked["requests.cancel"] <= recorded["order.cancel_requested"]


async def drive(run: LiveRun, *, seconds: float = 0, until: Callable[[], object]) -> None:
    """Drive a run for so many seconds and until ``until()`` holds: on a busy machine, little happens in a second."""
    first = 0

    def look(ts: int) -> None:
        nonlocal first
        if run.caught_up():
            first = first or ts
            if ts >= first + seconds * 1e9 and until():
                run.driver.request_stop()

    try:
        await run.drive(None, progress=look)
    finally:
        run.close()


async def trade(data: Path, faults: str, *, seed: int = 1, seconds: int = 5) -> None:
    async with open_venue(("BTCUSDT",), seed=seed, faults=f"seed={seed} {faults}" if faults else "") as venue:
        run = start_live_run(config(venue.url, 600), data)
        await drive(run, seconds=seconds, until=lambda: run.core.execution.submitted > 3)
        await asyncio.to_thread(check, run, venue.url)


def test_a_live_run_agrees_with_the_exchange_to_the_last_digit(tmp_path: Path) -> None:
    asyncio.run(trade(tmp_path, ""))


def test_a_live_run_with_every_fault_at_once_agrees_with_the_exchange(tmp_path: Path) -> None:
    asyncio.run(trade(tmp_path, ALL, seconds=8))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(max(SEEDS // 3, 1)))  # a hundred: TICKDECK_SEEDS=300
@pytest.mark.parametrize("faults", FAULTS)
def test_a_live_run_under_a_fault_agrees_with_the_exchange(tmp_path: Path, faults: str, seed: int) -> None:
    asyncio.run(trade(tmp_path, faults, seed=seed))


def test_orders_that_are_open_at_the_end_are_cancelled_or_left_as_the_user_chose(tmp_path: Path) -> None:
    async def work(at_end: str) -> tuple[int, list[str]]:
        async with open_venue(("BTCUSDT",)) as venue:
            run = start_live_run(config(venue.url, 600, orders_at_end=at_end, strategies=(_RESTS,)), tmp_path / at_end)
            await drive(run, until=lambda: any(order.venue_order_id for order in run.core.execution.open_of()))
            orders = await asyncio.to_thread(ask, venue.url, "orders?account=demo")
            return sum(order["status"] == "NEW" for order in orders), run.remarks

    assert asyncio.run(work("cancel")) == (0, [])
    left, remarks = asyncio.run(work("leave"))
    assert left == 1
    assert "not settled at binance when the run ended" in remarks[0]


@pytest.mark.long
def test_the_market_maker_follows_the_market_where_an_amend_can_only_reduce_an_order(tmp_path: Path) -> None:
    maker = StrategyConfig(spec="market-maker", parameters={"threshold": "1", "pause_ms": "100"})

    async def work() -> LiveRun:
        async with open_venue(("BTCUSDT",)) as venue:
            run = start_live_run(config(venue.url, 600, strategies=(maker,)), tmp_path)
            ended: list[OrderCancelledEvent] = []
            run.kernel.subscribe(OrderCancelledEvent, ended.append)
            await drive(run, seconds=3, until=lambda: run.core.execution.submitted > 3 and len(ended) > 2)
            return run

    run = asyncio.run(work())
    types = Counter(event.event_type for event in open_record(run.folder))
    assert types["order.amend_rejected"] <= 2
    assert types["order.submitted"] > 3
    assert types["order.cancelled"] > 2


def test_a_strategy_that_orders_again_when_its_order_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    async def work() -> tuple[list[Any], LiveRun]:
        async with open_venue(("BTCUSDT",)) as venue:
            stubborn = StrategyConfig(spec=f"{STRATEGIES}:Stubborn")
            run = start_live_run(config(venue.url, 3, strategies=(stubborn,)), tmp_path)
            try:
                await run.drive(None)
            finally:
                run.close()
            return await asyncio.to_thread(ask, venue.url, "orders?account=demo"), run

    orders, run = asyncio.run(work())

    assert orders
    assert not [order for order in orders if order["status"] == "NEW"]
    assert run.driver.completed


def test_a_run_whose_feed_is_gone_still_cancels_its_orders(tmp_path: Path) -> None:
    async def work() -> list[Any]:
        async with open_venue(("BTCUSDT",)) as venue:
            run = start_live_run(config(venue.url, 600, strategies=(_RESTS,)), tmp_path)

            def fail(_: int) -> None:
                if any(order.venue_order_id for order in run.core.execution.open_of()):
                    run._fail(RunError("the feed is gone"))

            try:
                with pytest.raises(RunError, match="the feed is gone"):
                    await run.drive(None, progress=fail)
            finally:
                run.close()
            return await asyncio.to_thread(ask, venue.url, "orders?account=demo")

    assert [order["status"] for order in asyncio.run(work())] == ["CANCELED"]


_RESTS = StrategyConfig(spec=f"{STRATEGIES}:Rests")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"risk": RunConfig().risk, "stated_limits": ()}, "give max_order_notional"),
        ({"stated_limits": ("max_order_notional",)}, "give max_position_notional, max_daily_loss under"),
        ({"risk": RunConfig().risk}, "give max_order_notional, max_position_notional, max_daily_loss under"),
        ({"risk": RiskLimits(max_order_notional=Decimal(1))}, "give max_position_notional, max_daily_loss under"),
        ({"accounts": {}, "exchange_url": "http://127.0.0.1:1"}, "BINANCE_API_KEY"),
        ({"strategies": RunConfig().strategies}, "need a strategy that you named yourself"),
        ({"account": "main", "testnet": True, "exchange_url": None}, "nothing"),
    ],
)
def test_missing_settings_for_real_orders_give_one_line(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    if why == "nothing":
        start_live_run(config("http://127.0.0.1:1", 1, **changes), tmp_path).close()
        return
    with pytest.raises(ConfigError, match=why):
        start_live_run(config("http://127.0.0.1:1", 1, **changes), tmp_path)
    assert not list(tmp_path.iterdir())


def test_two_accounts_at_the_exchange_need_a_choice(tmp_path: Path) -> None:
    account = AccountConfig(exchange="binance", credentials="env:DEMO")

    with pytest.raises(ConfigError, match="give account = one of a, b"):
        start_live_run(config("http://127.0.0.1:1", 1, accounts={"a": account, "b": account}), tmp_path)


def test_a_breaker_that_opens_is_an_event_of_the_run(tmp_path: Path) -> None:
    async def work() -> LiveRun:
        async with open_venue(("BTCUSDT",)) as venue:
            run = start_live_run(config(venue.url, 600), tmp_path)
            asyncio.get_running_loop().call_later(1, venue.faults.set, "http_500", "1")

            def stop_when_open(_: int) -> None:
                if any(event.name == "binance/orders" for event in changes):
                    run.driver.request_stop()

            run.kernel.subscribe(VenueCircuitChanged, changes.append)
            try:
                await run.drive(None, progress=stop_when_open)
            finally:
                run.close()
            return run

    changes: list[VenueCircuitChanged] = []
    run = asyncio.run(work())

    changes = [event for event in open_record(run.folder) if isinstance(event, VenueCircuitChanged)]
    assert ("binance/orders", "closed", "open") in {(e.name, e.before, e.after) for e in changes}
    assert verify_run(run.folder)[0].identical


def test_no_key_reaches_the_folder_of_a_run(tmp_path: Path) -> None:
    asyncio.run(trade(tmp_path, "", seconds=3))

    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"demo-secret" not in path.read_bytes(), path
            assert b"demo-key" not in path.read_bytes(), path


# -- killed and resumed -------------------------------------------------------------------------------------------


def killable(url: str, strategy: str) -> RunConfig:
    """For a process that is killed (``kill_live``)."""
    return config(url, DAY, strategies=(StrategyConfig(spec=f"{STRATEGIES}:{strategy}"),))


def finish(folder: Path) -> LiveRun:
    """Resume the run a last time, cancel what is open, and wait until nothing is in doubt."""
    run = resume_run(folder)
    assert isinstance(run, LiveRun)
    halted_for_the_last_look(run)
    asked = False

    def stop_when_clear(_: int) -> None:
        nonlocal asked
        if not run.caught_up():
            return
        if not asked:
            asked = True
            run.kernel.publish(CommandReceived(command="halt", reason="the test ends"))
            run.kernel.publish(CommandReceived(command="cancel", reason="the test ends"))
        if not any(account.execution.open_of() for account in run.core.accounts):
            run.driver.request_stop()

    try:
        asyncio.run(run.drive(None, progress=stop_when_clear))
    finally:
        run.close()
    return run


@pytest.mark.parametrize("venue_process", ["", "seed=3 drop_ack=0.1 late_fill=0.2:1s"], indirect=True)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, SEEDS))])
def test_a_live_run_killed_repeatedly_sends_nothing_twice_and_agrees_with_the_exchange(
    tmp_path: Path, venue_process: str, seed: int
) -> None:
    rng = random.Random(seed)
    for _ in range(3):
        kill_live(tmp_path, killable, venue_process, "Busy", turns=rng.randrange(5, 60))
    (folder,) = tmp_path.iterdir()
    run = finish(folder)
    check(run, venue_process)
    check_requests(run, venue_process)

    events = list(open_record(folder))
    assert sum(isinstance(event, RunResumed) for event in events) == 3


@pytest.mark.parametrize("venue_process", ["seed=3 drop_ack=0.1 late_fill=0.2:1s"], indirect=True)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, SEEDS))])
def test_other_code_takes_over_a_killed_live_run_and_agrees_with_the_exchange(
    tmp_path: Path, venue_process: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    for _ in range(2):
        kill_live(tmp_path, killable, venue_process, "Busy", turns=rng.randrange(5, 60))
    (folder,) = tmp_path.iterdir()
    monkeypatch.setattr(bootstrap.strategies, "code_digest", lambda: "other")
    run = finish(folder)
    check(run, venue_process)
    check_requests(run, venue_process)

    assert "a new stretch of the proof begins" in run.resumed
    assert [stretch.identical for stretch in verify_run(folder)[0].stretches] == [True, True]
