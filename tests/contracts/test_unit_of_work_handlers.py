"""Handlers of a bus hear of a unit of work when the disk has it, on every store, and never if the disk fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from msgspec.structs import force_setattr

from tickdeck.application.commands import UnitOfWork
from tickdeck.bootstrap import RecordedBus, close_bus, open_bus
from tickdeck.domain.events import BalanceEvent, DomainEvent
from tickdeck.errors import ConcurrencyError, EventValidationError, TapeError

D = Decimal


class Noted(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "test.noted"
    what: str


@pytest.fixture(params=["memory", "sqlite", "jsonl"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"{request.param}://{tmp_path / 'store'}"


@pytest.fixture(params=["sqlite", "jsonl"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}://{tmp_path / 'store'}"


async def deposit(bus: RecordedBus, *accounts: str) -> None:
    """Deposit 1 USDT in each account, as one unit."""
    async with UnitOfWork(bus) as work:
        for account in accounts:
            work.balances.get_or_new(account, "USDT").settle(change=D(1))
        await work.commit()


def hear(bus: RecordedBus, topic: str = "balance.*", **options: Any) -> list[str]:
    """What a plain handler gets: the account of each balance."""
    heard: list[str] = []
    bus.subscribe(topic, lambda event: heard.append(event.account_id), **options)
    return heard


def on_disk(bus: RecordedBus, write: Callable[[], None]) -> None:
    """Call ``write()`` before each group of events is written."""
    tape: Any = bus._tape
    written = tape._write

    def write_group(values: list[Any], last_seq: int) -> None:
        write()
        written(values, last_seq)

    tape._write = write_group


def fail() -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("edge", [False, True])
def test_plain_handlers_run_after_the_write_and_before_commit_returns(disk: str, edge: bool) -> None:
    async def program() -> None:
        bus = open_bus(disk)
        heard = hear(bus, edge=edge)
        at_write: list[int] = []
        on_disk(bus, lambda: at_write.append(len(heard)))
        await deposit(bus, "a", "b")
        assert at_write == [0]
        assert heard == ["a", "b"]
        await close_bus(bus)

    asyncio.run(program())


@pytest.mark.parametrize("edge", [False, True])
def test_no_handler_hears_of_what_the_disk_did_not_take(disk: str, edge: bool) -> None:
    async def program() -> None:
        bus = open_bus(disk)
        heard, later = hear(bus, edge=edge), []

        async def listen(event: BalanceEvent) -> None:
            later.append(event.account_id)

        bus.subscribe(BalanceEvent, listen)
        await deposit(bus, "a")
        await bus.drain()
        on_disk(bus, fail)
        for _ in range(2):  # the second is refused at once
            with pytest.raises(TapeError):
                await deposit(bus, "b", "c")
        with pytest.raises(TapeError):
            await close_bus(bus)
        assert heard == later == ["a"]

        again = open_bus(disk)
        assert [event.account_id for event in again.store.read()] == ["a"]  # type: ignore[attr-defined]
        await close_bus(again)

    asyncio.run(program())


def test_no_handler_hears_of_what_the_store_refuses(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        heard = hear(bus)
        tape: Any = bus._tape

        def refuse(*_: object, **__: Mapping[str, int]) -> None:
            raise TapeError("the store is full")

        tape.append = refuse
        with pytest.raises(TapeError, match="is full"):
            await deposit(bus, "a")
        assert heard == []
        del tape.append
        await bus.close()
        assert heard == []

    asyncio.run(program())


def test_no_handler_hears_of_an_event_that_cannot_be_stored(
    disk: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.CRITICAL, "tickdeck.kernel")
    monkeypatch.setattr("tickdeck.application.kernel.kernel.check_fields", lambda event: None)  # would refuse it

    async def program() -> None:
        bus = open_bus(disk)
        heard: list[str] = []
        bus.subscribe(Noted, lambda event: heard.append(event.what))
        broken = Noted(what="b")
        force_setattr(broken, "what", object())
        with pytest.raises(EventValidationError, match="cannot be stored"):
            bus.commit([Noted(what="a"), broken], expected={})
        await bus.drain()
        assert heard == ["a"]
        await close_bus(bus)

    asyncio.run(program())


def test_no_handler_hears_of_a_conflict(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        heard = hear(bus)
        one, other = UnitOfWork(bus), UnitOfWork(bus)
        for work in (one, other):
            work.balances.get_or_new("a", "USDT").settle(change=D(1))
        await one.commit()
        with pytest.raises(ConcurrencyError):
            await other.commit()
        assert heard == ["a"]
        await close_bus(bus)

    asyncio.run(program())


def test_units_that_share_a_commit_are_heard_of_in_order_and_by_plain_handlers_first(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        heard: list[tuple[str, int]] = []

        async def listen(event: DomainEvent) -> None:
            heard.append(("async", event.seq))

        bus.subscribe("balance.*", listen, name="async")
        bus.subscribe("balance.*", lambda event: heard.append(("low", event.seq)))
        bus.subscribe("balance.*", lambda event: heard.append(("high", event.seq)), priority=1)
        names = [f"a{number}" for number in range(20)]
        await asyncio.gather(*(deposit(bus, name, f"{name}-b") for name in names))
        await bus.drain()

        seqs = list(range(1, 41))
        assert [seq for who, seq in heard if who == "async"] == seqs
        assert [entry for entry in heard if entry[0] != "async"] == [(who, n) for n in seqs for who in ("high", "low")]
        assert all(heard.index(("low", n)) < heard.index(("async", n)) for n in seqs)
        calls = {handler.name: handler.calls for handler in bus.statistics().handlers}
        assert set(calls.values()) == {40}
        await close_bus(bus)

    asyncio.run(program())


def test_a_plain_handler_that_raises_harms_nobody_and_leaves_a_dead_letter(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "tickdeck.bus")
    broken = [True]

    def raises(event: BalanceEvent) -> None:
        if broken[0]:
            raise ValueError("broken")

    async def program() -> None:
        bus = open_bus(url)
        bus.subscribe(BalanceEvent, raises, name="broken", priority=1)
        heard = hear(bus)
        await deposit(bus, "a", "b")
        assert heard == ["a", "b"]
        await deposit(bus, "c")
        assert heard == ["a", "b", "c"]
        assert [letter.handler for letter in bus.dead_letters()] == ["broken"] * 3
        if not url.startswith("memory"):  # the letters are on the tape
            await close_bus(bus)
            bus = open_bus(url)
            bus.subscribe(BalanceEvent, raises, name="broken")
        broken[0] = False
        for letter in bus.dead_letters():
            bus.resend(letter)
        assert bus.dead_letters() == ()
        await close_bus(bus)

    asyncio.run(program())


def test_what_a_plain_handler_publishes_is_an_input_of_its_own_that_the_event_caused(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        notes: list[str] = []
        bus.subscribe("balance.*", lambda event: bus.publish(Noted(what=event.account_id)))
        bus.subscribe(Noted, lambda event: notes.append(event.what))
        await deposit(bus, "a", "b")
        assert notes == ["a", "b"]
        found = [(event.event_id, event.event_type, event.causation_id) for event in bus.store.read()]
        assert found == [
            ("1", "balance.updated", ""), ("2", "balance.updated", ""), ("3", "test.noted", "1"),
            ("4", "test.noted", "2"),
        ]  # fmt: skip
        await close_bus(bus)

    asyncio.run(program())


def test_a_handler_that_subscribed_or_left_meanwhile_gets_only_what_is_its_own(disk: str) -> None:
    async def program() -> None:
        bus = open_bus(disk)
        left: list[str] = []
        leaving = bus.subscribe("balance.*", lambda event: left.append(event.account_id))
        commit = asyncio.create_task(deposit(bus, "a"))
        await asyncio.sleep(0)  # it is appended, and the commit waits
        assert bus.store.last_seq == 1
        leaving.cancel()
        new = hear(bus)
        await commit
        await deposit(bus, "b")
        assert (left, new) == ([], ["b"])
        await close_bus(bus)

    asyncio.run(program())


def test_handlers_hear_of_a_commit_for_which_nobody_waits_any_more(url: str) -> None:
    async def program() -> None:
        bus = open_bus(url)
        heard = hear(bus)
        commit = asyncio.create_task(deposit(bus, "a"))
        await asyncio.sleep(0)  # it is appended
        commit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await commit
        await close_bus(bus)
        assert heard == ["a"]

    asyncio.run(program())


def test_after_a_crash_a_named_async_handler_gets_what_plain_ones_had_not_heard_of(disk: str) -> None:
    heard: list[str] = []

    async def listen(event: BalanceEvent) -> None:
        heard.append(event.account_id)

    async def never_ready(event: BalanceEvent) -> None:
        await asyncio.Event().wait()

    async def first_process() -> None:
        bus = open_bus(disk)
        bus.subscribe(BalanceEvent, never_ready, name="mails")
        plain = hear(bus)
        commit = asyncio.create_task(deposit(bus, "a", "b"))
        await asyncio.sleep(0)  # it is appended
        commit.cancel()
        bus.close_tape()  # as after a crash: it is on disk, and nobody has heard of it
        assert plain == []

    async def second_process() -> None:
        bus = open_bus(disk)
        bus.subscribe(BalanceEvent, listen, name="mails")
        await bus.drain()
        await close_bus(bus)

    asyncio.run(first_process())
    asyncio.run(second_process())
    assert heard == ["a", "b"]
