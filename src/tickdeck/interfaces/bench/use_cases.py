"""Use cases outside of a run: commands through a unit of work, and loading an aggregate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from tickdeck.application.commands import BalanceRepository, Command, Dispatcher, UnitOfWork, retry_on_conflict
from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import RecordedBus, close_bus, open_bus
from tickdeck.domain.accounts import BalanceAggregate
from tickdeck.domain.events import DomainEvent
from tickdeck.infrastructure.tape import SqliteTape
from tickdeck.interfaces.bench.session import Figures, Session, timed
from tickdeck.interfaces.bench.tape import Folders, bare_commits, ready_rows

__all__ = ["aggregate_load", "commands"]

_ACCOUNTS = 1_000
"""Each has a short stream, as most aggregates do."""
_BARE = 400
"""How many bare commits are measured: a slow disk needs seconds for them."""


class _Deposit(Command, frozen=True, kw_only=True):
    account: str
    amount: Decimal


class _DepositHandler:
    def __init__(self, bus: RecordedBus) -> None:
        self._bus = bus

    async def handle(self, command: _Deposit) -> None:
        async with UnitOfWork(self._bus) as work:
            balance = work.balances.get_or_new(command.account, "USDT")
            balance.settle(change=command.amount)
            await work.commit()


def commands(*, count: int, at_once: int, folder: str) -> Session:
    """Commands per second: dispatch, load a balance, change it, and save it durably. ``at_once``: how many wait at the
    same time. ``commits`` is how many the tape made of them.

    The ceiling: a bare commit of each prepared row, one after the other.
    """
    folders = Folders(folder)

    def session() -> Figures:
        place = folders.fresh()
        saved, value, commits = asyncio.run(_dispatch_all(place / "tape.db", count, at_once))
        types, rows = ready_rows([[event] for event in saved])
        ceiling = bare_commits(place / "bare.db", types, rows[:_BARE])
        return {"value": value, "ceiling": ceiling, "commits": commits}

    return session


async def _dispatch_all(path: Path, count: int, at_once: int) -> tuple[list[DomainEvent], float, int]:
    bus = open_bus(path)
    dispatcher = Dispatcher(retry_on_conflict())
    dispatcher.register(_Deposit, _DepositHandler(bus))
    waiting = iter([_Deposit(account=f"a{n % _ACCOUNTS}", amount=Decimal(n + 1)) for n in range(count)])

    async def work_off() -> None:
        for command in waiting:
            await dispatcher.dispatch(command)

    with timed() as seconds:
        await asyncio.gather(*(work_off() for _ in range(at_once)))
    saved, commits = list(bus.store.read()), bus.store.statistics().commits
    await close_bus(bus)
    assert len(saved) == count
    return saved, count / seconds(), commits


def aggregate_load(*, events: int, folder: str) -> Session:
    """Milliseconds to load an aggregate of ``events`` events, with its snapshots, by a new repository. ``whole``: the
    same by folding all of its events."""
    path = Path(folder) / "tape.db"
    asyncio.run(_deposit(path, events))
    tape = SqliteTape(path)
    known = TapeQuery(stream=BalanceAggregate("a", "USDT").stream)

    def load() -> None:
        balance = BalanceRepository(tape).get("a", "USDT")
        assert balance.version == balance.total == events

    def whole() -> None:
        assert BalanceAggregate("a", "USDT").load(tape.read(known)).total == events

    def session() -> Figures:
        return {"value": _milliseconds(load, 100), "whole": _milliseconds(whole, 1)}

    return session


async def _deposit(path: Path, events: int) -> None:
    """A balance with this many events. The newest snapshot is half of the usual distance old."""
    bus = open_bus(path)
    work = UnitOfWork(bus)
    balance = work.balances.get_or_new("a", "USDT")
    for number in range(events):
        balance.settle(change=Decimal(1))
        if number % 100 == 49:
            await work.commit()
    await work.commit()
    await close_bus(bus)


def _milliseconds(load: Callable[[], None], times: int) -> float:
    """How long ``load()`` takes, on average."""
    with timed() as seconds:
        for _ in range(times):
            load()
    return seconds() / times * 1e3
