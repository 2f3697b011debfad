"""A unit of work and its repositories, on every store."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from tickdeck.application.commands import BalanceRepository, OpenTrades, UnitOfWork
from tickdeck.bootstrap import RecordedBus, close_bus, open_bus
from tickdeck.domain.accounts import BalanceAggregate
from tickdeck.domain.trading import Trade
from tickdeck.domain.values import Side
from tickdeck.errors import AggregateNotFound, ConcurrencyError, ConfigError

D = Decimal


@pytest.fixture(params=["memory", "sqlite", "jsonl"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"{request.param}://{tmp_path / 'store'}"


def new_trade(trade_id: str = "t1") -> Trade:
    return Trade.create_copy_trade(
        "a", trade_id, copied_from="L1", symbol="BTCUSDT", side=Side.BUY, quantity=D(1), limit=D(100), order_id="o1"
    )


async def reserve(bus: RecordedBus, amount: object = 10) -> None:
    async with UnitOfWork(bus) as work:
        balance = work.balances.get_or_new("a", "USDT")
        balance.observe(D(1000), D(0))
        balance.reserve(D(str(amount)))
        work.trades.add(new_trade()).reserve(D(str(amount)), "USDT")
        await work.commit()


def test_several_aggregates_are_saved_as_one_and_loaded_again(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        await reserve(bus)

        work = UnitOfWork(bus)
        trade, balance = work.trades.get("a", "t1"), work.balances.get("a", "USDT")
        assert (trade.status, trade.version, trade.reserved) == ("reserved", 1, D(10))
        assert trade.reserved_ts > 0
        assert (balance.free, balance.version) == (D(990), 2)
        assert work.trades.get("a", "t1") is trade  # one object for one identity
        await close_bus(bus)

    asyncio.run(program())


def test_without_a_commit_nothing_is_saved(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        async with UnitOfWork(bus) as work:
            work.trades.add(new_trade()).roll_back("no")
        await UnitOfWork(bus).commit()  # nothing to save is no error

        assert list(bus.store.read()) == []
        with pytest.raises(AggregateNotFound, match="there is no trade/a/t1"):
            UnitOfWork(bus).trades.get("a", "t1")
        await close_bus(bus)

    asyncio.run(program())


def test_what_a_block_left_behind_is_not_saved_by_the_next_one(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        await reserve(bus)
        work = UnitOfWork(bus)
        async with work:
            work.balances.get("a", "USDT").reserve(D(500))  # and then the rest of the use case fails
        with pytest.raises(ConfigError, match="its block has ended"):
            await work.commit()
        async with work:
            work.balances.get("a", "USDT").reserve(D(1))
            await work.commit()
        assert UnitOfWork(bus).balances.get("a", "USDT").reserved == D(11)
        await close_bus(bus)

    asyncio.run(program())


def test_two_objects_of_one_stream_are_not_saved(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        await reserve(bus)
        again = BalanceRepository(bus.store)
        async with UnitOfWork(bus, again) as work:
            work.balances.get("a", "USDT").release(D(4))
            again.get("a", "USDT").release(D(4))
            with pytest.raises(ConfigError, match="balance/a/USDT was loaded by two repositories"):
                await work.commit()
        assert UnitOfWork(bus).balances.get("a", "USDT").reserved == D(10)
        await close_bus(bus)

    asyncio.run(program())


def test_a_repository_of_another_store_is_refused() -> None:
    bus, other = open_bus("memory://"), open_bus("memory://")
    with pytest.raises(ConfigError, match="a repository is of another store"):
        UnitOfWork(bus, BalanceRepository(other.store))


def test_of_two_who_changed_the_same_one_saves_and_the_other_nothing_at_all(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        await reserve(bus)
        one, other = UnitOfWork(bus), UnitOfWork(bus)
        for work, trade_id in ((one, "t2"), (other, "t3")):
            work.balances.get("a", "USDT").reserve(D(600))
            work.trades.add(new_trade(trade_id)).reserve(D(600), "USDT")

        await one.commit()
        with pytest.raises(ConcurrencyError):
            await other.commit()

        work = UnitOfWork(bus)
        assert work.balances.get("a", "USDT").reserved == D(610)
        assert work.trades.find("a", "t3") is None
        await close_bus(bus)

    asyncio.run(program())


def test_a_unit_of_work_goes_on_after_a_commit(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        async with UnitOfWork(bus) as work:
            trade = work.trades.add(new_trade())
            trade.reserve(D(10), "USDT")
            await work.commit()
            trade.confirm(D(99), D(1), {})
            await work.commit()

        assert UnitOfWork(bus).trades.get("a", "t1").status == "executed"
        assert [event.event_type for event in bus.store.read()] == ["trade.reserved", "trade.executed"]
        await close_bus(bus)

    asyncio.run(program())


def test_events_are_published_in_order_and_a_handler_that_raises_harms_nobody(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        heard: list[str] = []

        def broken(event: object) -> None:
            raise ValueError("broken")

        async def durable(event: object) -> None:
            heard.append(event.event_type)  # type: ignore[attr-defined]

        bus.subscribe("*", broken, priority=100)
        bus.subscribe("trade.*", durable, name="durable")
        bus.subscribe("balance.*", durable, name="balances")
        await reserve(bus)
        await bus.drain()

        assert sorted(heard) == ["balance.updated", "balance.updated", "trade.reserved"]
        await close_bus(bus)

    asyncio.run(program())


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_named_handler_gets_what_was_committed_before_the_process_ended(form: str, tmp_path: Path) -> None:
    heard: list[str] = []

    async def first_process() -> None:
        bus = open_bus(f"{form}://{tmp_path / 'store'}")
        bus.subscribe("trade.*", never_ready, name="mails")
        await reserve(bus)
        bus.close_tape()  # as after a crash: the handler is not waited for

    async def never_ready(event: object) -> None:
        await asyncio.Event().wait()

    async def second_process() -> None:
        bus = open_bus(f"{form}://{tmp_path / 'store'}")

        async def mail(event: object) -> None:
            heard.append(event.event_type)  # type: ignore[attr-defined]

        bus.subscribe("trade.*", mail, name="mails")
        await bus.drain()
        await close_bus(bus)

    asyncio.run(first_process())
    asyncio.run(second_process())
    assert heard == ["trade.reserved"]


def test_a_long_stream_is_loaded_from_its_newest_snapshot(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        async with UnitOfWork(bus) as work:
            balance = work.balances.get_or_new("a", "USDT")
            for total in range(1, 251):
                balance.observe(D(total), D(0))
                await work.commit()

        assert bus.store.load_snapshot(balance.stream).version == 200  # type: ignore[union-attr]
        applied: list[object] = []
        repository = BalanceRepository(bus.store)
        repository._make = lambda *key: _Watched(applied, *key)
        loaded = repository.get("a", "USDT")
        assert (loaded.total, loaded.version, len(applied)) == (D(250), 250, 50)
        await close_bus(bus)

    asyncio.run(program())


class _Watched(BalanceAggregate):
    def __init__(self, applied: list[object], *key: str) -> None:
        super().__init__(*key)
        self._applied = applied

    def apply(self, event: object) -> None:  # type: ignore[override]
        self._applied.append(event)
        super().apply(event)  # type: ignore[arg-type]


def test_use_cases_that_are_ready_together_share_their_commits(url: str) -> None:
    async def deposit(bus: RecordedBus, account: str) -> None:
        async with UnitOfWork(bus) as work:
            work.balances.get_or_new(account, "USDT").settle(change=D(1))
            await work.commit()

    async def program() -> None:
        bus = open_bus(url)
        for _ in range(2):  # loading one of them does not commit the others
            await asyncio.gather(*(deposit(bus, f"a{number}") for number in range(64)))
        statistics = bus.store.statistics()
        assert statistics.durable == 128
        assert url.startswith("memory") or statistics.commits < 64
        await close_bus(bus)

    asyncio.run(program())


def test_open_trades_are_those_that_are_neither_executed_nor_failed(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        async with UnitOfWork(bus) as work:
            for trade_id in ("t1", "t2", "t3"):
                work.trades.add(new_trade(trade_id)).reserve(D(10), "USDT")
            work.trades.get("a", "t1").roll_back("no")
            work.trades.get("a", "t3").doubt("timed out")
            await work.commit()

        assert OpenTrades(bus).all() == [("a", "t2"), ("a", "t3")]
        await close_bus(bus)

    asyncio.run(program())


def test_what_cannot_be_saved_is_refused() -> None:
    from tickdeck import InMemoryEventBus

    with pytest.raises(ConfigError, match="no store"):
        UnitOfWork(InMemoryEventBus())  # type: ignore[arg-type]
    bus = open_bus("memory://")
    work = UnitOfWork(bus)
    work.trades.add(new_trade())
    with pytest.raises(ConfigError, match="is loaded already"):
        work.trades.add(new_trade())
    asyncio.run(close_bus(bus))
