"""A live account that others use too, at an exchange on localhost: the run's books stay those of the exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gate_processes import ask
from test_live_orders import STRATEGIES, check, config, key

from tickdeck.application.ports import OrderRequest
from tickdeck.bootstrap import LiveRun, open_record, resume_run, start_live_run, verify_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.events import (
    AccountDifferenceFound,
    DomainEvent,
    OrderRejectedEvent,
    RunResumed,
    StrategyDecisionEvent,
    TradingHalted,
    TransferKind,
    VenueBalanceReported,
    VenueExternalFillReported,
    VenueExternalOrderReported,
    VenueFillReported,
    VenueInstrumentReported,
    VenueRateReported,
    VenueTransferReported,
)
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.infrastructure.config import StrategyConfig
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.binance.wire import HmacKey, endpoints_at

pytestmark = pytest.mark.long
__all__ = ["key"]  # a fixture

RESTS = (StrategyConfig(spec=f"{STRATEGIES}:Rests"),)
BUSY = (StrategyConfig(spec=f"{STRATEGIES}:Busy"),)


@pytest.fixture(autouse=True)
def no_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue here answers at once, so that two readings can be a second apart."""
    whole = BinanceExchange.capabilities.fget
    assert whole is not None
    soon = {"in_flight": 0, "query_lag": 1_200_000_000}
    capabilities = property(lambda exchange: msgspec.structs.replace(whole(exchange), **soon))
    monkeypatch.setattr(BinanceExchange, "capabilities", capabilities)


def act(venue: Any, do: str, **values: object) -> None:
    status, answer = venue.server.admin.handle("POST", do, {"account": "demo", **values})
    assert status == 200, answer


@asynccontextmanager
async def other_program(venue: Any) -> AsyncIterator[BinanceExchange]:
    """Another program that trades with the same account."""
    exchange = BinanceExchange(HmacKey(venue.key, venue.secret), endpoints=endpoints_at(venue.url))
    try:
        yield exchange
    finally:
        await exchange.close()


def buy(order_id: str, quantity: str, limit: str | None) -> OrderRequest:
    price = Decimal(limit) if limit else None
    return OrderRequest(
        client_order_id=order_id, symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(quantity), limit=price
    )


async def wait_for(condition: Callable[[], object]) -> None:
    """Wait until it holds, at most two minutes: the machine may be busy."""
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 (the run has no event for it)
            await asyncio.sleep(0.05)


def has_all(run: LiveRun, venue: Any) -> bool:
    """Whether the run's balances are the exchange's."""
    _, balances = venue.server.admin.handle("GET", "balances", {"account": "demo"})
    books = run.core.portfolio.account.balances
    return all(
        books.get(currency, Decimal(0)) == Decimal(amounts["free"]) + Decimal(amounts["locked"])
        for currency, amounts in balances["demo"].items()
    )


async def drive(run: LiveRun, meanwhile: Callable[[LiveRun], Awaitable[object]] | None = None) -> None:
    """Drive a run. When it trades, do something beside it, and stop it a while after that."""

    async def beside() -> None:
        await wait_for(lambda: run.driver.has_caught_up)  # a resumed run that is stopped before has not begun to trade
        await wait_for(lambda: any(order.venue_order_id for order in run.core.execution.orders.values()))
        if meanwhile is not None:
            await meanwhile(run)
        run.driver.request_stop()

    task = asyncio.ensure_future(beside())
    try:
        async with asyncio.timeout(300):
            await run.drive(None)
        await task
    finally:
        task.cancel()
        run.close()


def check_proof(run: LiveRun) -> None:
    assert verify_run(run.folder)[0].identical


def of(run: LiveRun, kind: type[DomainEvent]) -> list[Any]:
    return [event for event in open_record(run.folder) if isinstance(event, kind)]


@pytest.mark.parametrize("strategies", [RESTS, BUSY])
def test_deposits_and_withdrawals_move_the_account_while_it_trades(tmp_path: Path, strategies: Any) -> None:
    async def work() -> LiveRun:
        async with open_venue(("BTCUSDT",)) as venue:
            run = start_live_run(config(venue.url, 600, strategies=strategies), tmp_path)

            async def meanwhile(_: LiveRun) -> None:
                act(venue, "deposit", asset="BTC", amount="1.5")
                act(venue, "withdraw", asset="USDT", amount="200")
                act(venue, "deposit", asset="BNB", amount="3")
                await wait_for(lambda: run.core.portfolio.account.balances.get("BNB"))  # they are told in order
                await asyncio.sleep(2)  # it trades on

            await drive(run, meanwhile)
            await asyncio.to_thread(check, run, venue.url)
            return run

    run = asyncio.run(work())

    moved = [(event.currency, event.amount) for event in of(run, VenueTransferReported)]
    assert moved == [("BTC", Decimal("1.5")), ("USDT", Decimal(-200)), ("BNB", Decimal(3))]
    assert not of(run, AccountDifferenceFound)
    assert run.remarks == []


def test_orders_of_others_are_shown_move_the_account_and_are_never_touched(tmp_path: Path) -> None:
    async def work() -> tuple[LiveRun, Any]:
        async with open_venue(("BTCUSDT",)) as venue, other_program(venue) as other:
            await other.place(buy("before", "0.01", "30000"))
            run = start_live_run(config(venue.url, 600, strategies=RESTS), tmp_path)

            async def meanwhile(_: LiveRun) -> None:
                await other.place(buy("beside", "0.01", "30001"))
                await other.place(buy("taken", "0.02", None))
                await wait_for(lambda: has_all(run, venue))

            await drive(run, meanwhile)
            orders = await asyncio.to_thread(ask, venue.url, "orders?account=demo")
            balances = await asyncio.to_thread(ask, venue.url, "balances?account=demo")
            return run, (orders, balances["demo"])

    run, (orders, balances) = asyncio.run(work())

    shown = of(run, VenueExternalOrderReported)
    assert {event.order_id for event in shown} == {"before", "beside", "taken"}
    (before,) = (event for event in shown if event.order_id == "before")
    assert (before.status, before.side, before.quantity) == (OrderStatus.ACCEPTED, Side.BUY, Decimal("0.01"))
    filled = sum(event.quantity for event in of(run, VenueExternalFillReported))
    assert filled == Decimal("0.02")
    assert {order["client_id"] for order in orders if order["status"] == "NEW"} == {"before", "beside"}
    assert not of(run, AccountDifferenceFound)
    for currency, amounts in balances.items():
        total = Decimal(amounts["free"]) + Decimal(amounts["locked"])
        assert run.core.portfolio.account.balances.get(currency, Decimal(0)) == total, currency


@pytest.mark.parametrize("policy", ["adopt", "halt", "ask"])
def test_a_difference_from_while_the_run_was_down_is_found_in_two_readings(tmp_path: Path, policy: str) -> None:
    async def work() -> tuple[LiveRun, Any]:
        async with open_venue(("BTCUSDT",)) as venue:
            settings = config(venue.url, 600, strategies=RESTS, account_difference=policy)
            run = start_live_run(settings, tmp_path)
            await drive(run)
            act(venue, "deposit", asset="BTC", amount="0.25", listed=False)
            run = resume_run(run.folder)
            assert isinstance(run, LiveRun)

            async def meanwhile(run: LiveRun) -> None:
                portfolio = run.core.portfolio
                await wait_for(lambda: portfolio.differences.found or portfolio.account.balances["BTC"] > 2)

            await drive(run, meanwhile)
            return run, None

    run, _ = asyncio.run(work())

    (found,) = of(run, AccountDifferenceFound)
    assert (found.currency, found.ours, found.venue) == ("BTC", Decimal(2), Decimal("2.25"))
    assert run.core.portfolio.account.balances["BTC"] == (Decimal("2.25") if policy == "adopt" else 2)
    assert bool(of(run, TradingHalted)) == (policy == "halt")
    assert run.remarks == ([] if policy == "adopt" else ["binance has +0.25 BTC more than the run's books"])


def test_a_fill_that_queries_do_not_list_yet_when_a_run_ends_halts_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The balances have it at once, its report is late, and the list of fills lags. The run is stopped, resumed and
    stopped again within the lag."""
    whole, fills = BinanceExchange.capabilities.fget, BinanceExchange.fills
    assert whole is not None
    lagging = property(lambda exchange: msgspec.structs.replace(whole(exchange), query_lag=8_000_000_000))
    lists = False

    async def stale(exchange: BinanceExchange, symbol: str, **which: Any) -> Any:
        return await fills(exchange, symbol, **which) if lists else ()

    async def settled(run: LiveRun) -> None:
        await wait_for(lambda: not run.core.portfolio.differences.pending)

    async def work() -> list[LiveRun]:
        nonlocal lists
        async with open_venue(("BTCUSDT",), faults="seed=1 late_fill=1:120s") as venue, other_program(venue) as other:
            run = start_live_run(config(venue.url, 60, strategies=RESTS), tmp_path)
            monkeypatch.setattr(BinanceExchange, "capabilities", lagging)
            monkeypatch.setattr(BinanceExchange, "fills", stale)
            await drive(run, lambda _: other.place(buy("taken", "0.02", None)))
            runs = [run]
            for again in (1, 2):
                lists = again == 2
                run = resume_run(run.folder)
                assert isinstance(run, LiveRun)
                runs.append(run)
                await drive(run, settled if lists else lambda _: asyncio.sleep(1.5))
            await asyncio.to_thread(check_proof, run)
            balances = await asyncio.to_thread(ask, venue.url, "balances?account=demo")
            for currency, amounts in balances["demo"].items():
                total = Decimal(amounts["free"]) + Decimal(amounts["locked"])
                assert run.core.portfolio.account.balances.get(currency, Decimal(0)) == total, currency
            return runs

    runs = asyncio.run(work())

    assert not of(runs[0], AccountDifferenceFound)
    assert not of(runs[0], TradingHalted)
    once = "more than the run's books when the run ended; a fill may be on its way, so a single reading proves nothing"
    for run in runs[:2]:
        bitcoin, dollars = run.remarks
        assert bitcoin == f"binance showed +0.01998 BTC {once}"
        assert dollars.startswith("binance showed -12")
        assert dollars.endswith(f" USDT {once}")
    assert runs[2].remarks == []


def test_what_orders_of_others_lock_is_not_free_for_the_run(tmp_path: Path) -> None:
    async def work() -> list[Decimal]:
        async with open_venue(("BTCUSDT",)) as venue, other_program(venue) as other:
            await other.place(buy("before", "0.5", "30000"))
            run = start_live_run(config(venue.url, 600, strategies=RESTS), tmp_path)
            seen: list[Decimal] = []
            account = run.core.portfolio.account

            async def until(locked: int) -> None:
                await wait_for(lambda: account.locks["USDT"] == locked)
                seen.append(account.locks["USDT"])

            async def meanwhile(_: LiveRun) -> None:
                await until(15_000)  # an order of the run that is on its way makes a reading smaller
                await other.place(buy("beside", "0.5", "31000"))
                await until(30_500)
                await other.cancel("BTCUSDT", client_order_id="beside")
                await until(15_000)

            await drive(run, meanwhile)
            await asyncio.to_thread(check_proof, run)
            return seen

    assert asyncio.run(work()) == [15_000, 30_500, 15_000]


def resumed_after(meanwhile: Callable[[Any], None], paid: Decimal, data: Path, *more_symbols: str) -> LiveRun:
    """A run that is resumed after ``meanwhile(venue)``, until its balance in USDT is ``paid``."""

    async def work() -> LiveRun:
        async with open_venue(("BTCUSDT", *more_symbols)) as venue:
            run = start_live_run(config(venue.url, 600, strategies=RESTS), data)
            await drive(run)
            meanwhile(venue)
            run = resume_run(run.folder)
            assert isinstance(run, LiveRun)
            await drive(run, lambda run: wait_for(lambda: run.core.portfolio.account.balances["USDT"] == paid))
            await asyncio.to_thread(check, run, venue.url)
            return run

    return asyncio.run(work())


def assert_nothing_was_decided_before(run: LiveRun, kind: type[DomainEvent]) -> None:
    """All events of ``kind`` came after the run was resumed, and before its strategies decided anything."""
    events = list(open_record(run.folder))
    resumed = next(index for index, event in enumerate(events) if isinstance(event, RunResumed))
    told = [index for index, event in enumerate(events) if isinstance(event, kind)]
    decided = [index for index, event in enumerate(events) if isinstance(event, StrategyDecisionEvent)]
    assert resumed < min(told)
    assert not [index for index in decided if resumed < index < max(told)]


def test_payments_from_while_the_run_was_down_are_booked_before_it_takes_market_data(tmp_path: Path) -> None:
    def meanwhile(venue: Any) -> None:
        act(venue, "deposit", asset="BTC", amount="0.25")
        act(venue, "withdraw", asset="USDT", amount="200")
        act(venue, "withdraw", asset="USDT", amount="33.5")

    run = resumed_after(meanwhile, Decimal("99766.5"), tmp_path)

    assert [(event.currency, event.amount) for event in of(run, VenueTransferReported)] == [
        ("BTC", Decimal("0.25")),
        ("USDT", Decimal(-200)),
        ("USDT", Decimal("-33.5")),
    ]
    assert_nothing_was_decided_before(run, VenueTransferReported)
    assert run.remarks == []


def test_conversions_from_while_the_run_was_down_are_booked_before_it_takes_market_data(tmp_path: Path) -> None:
    def meanwhile(venue: Any) -> None:
        act(venue, "convert", **{"from": "USDT", "spent": "600", "to": "BTC", "received": "0.01"})
        act(venue, "convert", **{"from": "USDT", "spent": "0.3", "to": "BNB", "received": "0.0005", "dust": True})
        act(venue, "withdraw", asset="USDT", amount="33.5")

    run = resumed_after(meanwhile, Decimal("99366.2"), tmp_path, "BNBUSDT")

    assert sorted((event.currency, event.amount, event.transfer_kind) for event in of(run, VenueTransferReported)) == [
        ("BNB", Decimal("0.0005"), TransferKind.CONVERSION),
        ("BTC", Decimal("0.01"), TransferKind.CONVERSION),
        ("USDT", Decimal(-600), TransferKind.CONVERSION),
        ("USDT", Decimal("-33.5"), TransferKind.WITHDRAWAL),
        ("USDT", Decimal("-0.3"), TransferKind.CONVERSION),
    ]
    assert_nothing_was_decided_before(run, VenueTransferReported)
    assert not of(run, AccountDifferenceFound)
    assert run.remarks == []


def test_a_conversion_while_the_run_trades_is_booked_once(tmp_path: Path) -> None:
    async def work() -> LiveRun:
        async with open_venue(("BTCUSDT",)) as venue:
            run = start_live_run(config(venue.url, 600, strategies=RESTS), tmp_path)

            async def meanwhile(run: LiveRun) -> None:
                act(venue, "convert", **{"from": "USDT", "spent": "600", "to": "BTC", "received": "0.01"})
                act(venue, "disconnect", path="/ws-api", **{"for": "1s"})
                act(venue, "convert", **{"from": "BTC", "spent": "0.5", "to": "USDT", "received": "29000"})
                await wait_for(lambda: run.core.portfolio.account.balances["USDT"] == 128_400)

            await drive(run, meanwhile)
            await asyncio.to_thread(check, run, venue.url)
            return run

    run = asyncio.run(work())

    moved = sorted((event.currency, event.amount) for event in of(run, VenueTransferReported))
    assert moved == [("BTC", Decimal("-0.5")), ("BTC", Decimal("0.01")), ("USDT", -600), ("USDT", 29_000)]
    assert not of(run, AccountDifferenceFound)


def test_a_payment_from_while_the_private_stream_was_away_is_booked_once(tmp_path: Path) -> None:
    async def work() -> LiveRun:
        async with open_venue(("BTCUSDT",)) as venue:
            run = start_live_run(config(venue.url, 600, strategies=RESTS), tmp_path)

            async def meanwhile(run: LiveRun) -> None:
                act(venue, "disconnect", path="/ws-api", **{"for": "1s"})
                act(venue, "deposit", asset="BTC", amount="0.25")
                await wait_for(lambda: run.core.portfolio.account.balances["BTC"] > 2)

            await drive(run, meanwhile)
            await asyncio.to_thread(check, run, venue.url)
            return run

    run = asyncio.run(work())

    (paid,) = of(run, VenueTransferReported)
    assert (paid.currency, paid.amount, paid.transfer_kind) == ("BTC", Decimal("0.25"), TransferKind.DEPOSIT)
    assert paid.transfer_id.startswith("deposit/")


def test_orders_of_others_that_fill_while_the_run_is_down_are_booked_when_it_resumes(tmp_path: Path) -> None:
    async def work() -> LiveRun:
        async with open_venue(("BTCUSDT",)) as venue, other_program(venue) as other:
            run = start_live_run(config(venue.url, 600, strategies=RESTS), tmp_path)
            await drive(run)
            for number in range(3):
                await other.place(buy(f"down-{number}", "0.01", None))
            run = resume_run(run.folder)
            assert isinstance(run, LiveRun)

            async def meanwhile(run: LiveRun) -> None:
                market = run.core.market_data.markets["BTCUSDT"]
                trade = market.next_trade_id
                await wait_for(lambda: has_all(run, venue) and market.next_trade_id != trade)

            await drive(run, meanwhile)
            return run

    run = asyncio.run(work())

    fills = of(run, VenueExternalFillReported)
    assert {event.order_id for event in fills} == {"down-0", "down-1", "down-2"}
    (resumed,) = of(run, RunResumed)
    first = next(event for event in open_record(run.folder) if event.is_market_data and event.seq > resumed.seq)
    assert all(resumed.seq < event.seq < first.seq for event in fills)
    assert not of(run, AccountDifferenceFound)
    assert run.remarks == []


def test_a_resume_is_no_reading_of_a_balance_that_was_nothing_at_the_start(tmp_path: Path) -> None:
    """Fills from while the run was down come later, so two resumes, the first of which was killed, would prove a
    difference."""

    async def work() -> LiveRun:
        async with open_venue(("BTCUSDT",)) as venue:
            act(venue, "withdraw", asset="BTC", amount="2")
            run = start_live_run(config(venue.url, 600, strategies=RESTS), tmp_path)
            await drive(run)
            run = resume_run(run.folder)
            assert isinstance(run, LiveRun)
            await drive(run)
            return run

    run = asyncio.run(work())

    (resumed,) = of(run, RunResumed)
    reported = [(event.currency, event.seq > resumed.seq) for event in of(run, VenueBalanceReported)]
    assert ("BTC", False) in reported
    assert ("BTC", True) not in reported


def test_the_market_data_and_the_account_share_the_limits_of_their_address(tmp_path: Path) -> None:
    run = start_live_run(config("http://127.0.0.1:1", 1), tmp_path)
    try:
        (account,) = run._live_accounts.values()
        assert run._feed.limits is account.exchange.limits
    finally:
        run.close()


def test_fees_in_the_coin_of_the_exchange_are_in_the_results(tmp_path: Path) -> None:
    async def work() -> LiveRun:
        async with open_venue(("BTCUSDT", "BNBUSDT")) as venue:
            venue.server.admin.handle(
                "POST",
                "account",
                {"name": "demo", "key": venue.key, "secret": venue.secret, "pays_fees_in": "BNB"},
            )
            run = start_live_run(config(venue.url, 600, strategies=BUSY, symbols=("BTCUSDT",)), tmp_path)
            await drive(run, lambda run: wait_for(lambda: run.core.portfolio.fees() > 0))
            await asyncio.to_thread(check, run, venue.url)
            return run

    run = asyncio.run(work())

    assert of(run, VenueRateReported)
    fees = {e.venue_trade_id: e.fee for e in of(run, VenueFillReported) if e.fee_currency == "BNB"}
    rates = [event.rate for event in of(run, VenueRateReported)]
    paid = sum(fees.values())
    assert paid
    assert paid * min(rates) <= run.core.portfolio.fees() <= paid * max(rates)
    assert run.core.portfolio.left_out() == {}


@pytest.mark.parametrize("change", [{"status": "BREAK"}, {"tick_size": "5", "step_size": "0.001"}])
def test_what_changed_in_a_market_while_the_run_was_down_is_known_before_it_decides(
    tmp_path: Path, change: dict[str, str]
) -> None:
    async def work() -> LiveRun:
        async with open_venue(("BTCUSDT",)) as venue:
            run = start_live_run(config(venue.url, 600, strategies=BUSY), tmp_path)
            await drive(run, lambda _: asyncio.sleep(1))
            status, _ = venue.server.admin.handle("POST", "market", {"symbol": "BTCUSDT", **change})
            assert status == 200
            for _ in range(2):
                resumed = resume_run(run.folder)
                assert isinstance(resumed, LiveRun)
                run = resumed
                decided = run.kernel.seq
                await drive(run, lambda run, decided=decided: wait_for(lambda: run.kernel.seq > decided + 40))
            await asyncio.to_thread(check, run, venue.url)
            return run

    run = asyncio.run(work())

    first, _ = of(run, RunResumed)
    later = [event for event in open_record(run.folder) if event.seq > first.seq]
    rejected = [event.reason for event in later if isinstance(event, OrderRejectedEvent)]
    assert not [reason for reason in rejected if "Halted" in reason or "Filter" in reason]
    told = next(event for event in later if isinstance(event, VenueInstrumentReported))
    first_decision = next(event for event in later if isinstance(event, StrategyDecisionEvent))
    assert told.seq < first_decision.seq
