"""The contract of the repositories as tests, for a bus on any event store."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tickdeck.application.commands import (
    BalanceRepository,
    OrderRepository,
    PositionRepository,
    TradeRepository,
    UnitOfWork,
)
from tickdeck.domain.aggregates import AggregateRoot
from tickdeck.domain.events import DomainEvent, OrderSubmittedEvent, VenueFillReported, VenueOrderReported
from tickdeck.domain.trading import Order, Trade
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.errors import AggregateNotFound, ConcurrencyError, ConfigError

__all__ = ["RepositoryContract"]

_D = Decimal


def _trade(work: UnitOfWork) -> AggregateRoot:
    trade = Trade("a", "1").create(symbol="BTCUSDT", side=Side.BUY, quantity=_D(1), limit=_D(100), order_id="o")
    trade.reserve(_D(100), "USDT")
    return work.trades.add(trade)


def _order(work: UnitOfWork) -> AggregateRoot:
    submitted = OrderSubmittedEvent(
        order_id="1",
        symbol="BTCUSDT",
        account_id="a",
        side=Side.BUY,
        quantity=_D(2),
        limit=_D(100),
        remaining=_D(2),
        reserved=_D(200),
        reserved_currency="USDT",
    )
    return work.orders.add(Order.submit(submitted))


def _position(work: UnitOfWork) -> AggregateRoot:
    position = work.positions.get_or_new("a", "1")
    position.currency, position.user_id = "USDT", "ada"
    position.fill(Side.BUY, _D(100), _D(2), "o1", trade_id="t1", fee=_D("0.2"))
    return position


def _balance(work: UnitOfWork) -> AggregateRoot:
    balance = work.balances.get_or_new("a", "1")
    balance.observe(_D(1000), _D(0), "ada")
    return balance


_BEGIN: tuple[Callable[[UnitOfWork], AggregateRoot], ...] = (_trade, _order, _position, _balance)
_CHANGE: dict[str, Callable[[Any], object]] = {
    "Trade": lambda trade: trade.confirm(_D(99), _D(1), {"USDT": _D("0.1")}),
    "Order": lambda order: order.request_cancel(),
    "Position": lambda position: position.close(_D(110), "t2", "o2", fee=_D("0.2")),
    "BalanceAggregate": lambda balance: balance.reserve(_D(10)),
}


class RepositoryContract(ABC):
    """Tests for repositories and their unit of work on a bus with a store. Define a subclass whose name begins with
    ``Test``, and ``open`` your bus in it::

        class TestOnMyStore(RepositoryContract):
            def open(self, folder: Path) -> RecordedBus:
                return open_bus(f"sqlite://{folder / 'store'}")
    """

    survives = True
    """Whether a bus that is opened again in the same folder has the events of the first one."""

    @abstractmethod
    def open(self, folder: Path) -> Any:
        """A bus on a store in ``folder``, which is empty at first."""

    async def close(self, bus: Any) -> None:
        """Close the bus. Override it if yours is not closed by ``close``."""
        await bus.close()

    def run(self, folder: Path, *programs: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        """Run each program on a bus of its own, one after the other, on the same store."""

        async def all_of_them() -> None:
            bus = self.open(folder)
            for number, program in enumerate(programs):
                if number and self.survives:
                    await self.close(bus)
                    bus = self.open(folder)
                await program(bus)
            await self.close(bus)

        asyncio.run(all_of_them())

    @pytest.mark.parametrize("begin", _BEGIN)
    def test_what_was_saved_is_loaded_and_changed_and_loaded_again(
        self, tmp_path: Path, begin: Callable[[UnitOfWork], AggregateRoot]
    ) -> None:
        saved: list[Any] = []

        async def first(bus: Any) -> None:
            async with UnitOfWork(bus) as work:
                saved.append(begin(work))
                await work.commit()

        async def second(bus: Any) -> None:
            async with UnitOfWork(bus) as work:
                found = _find(work, saved[0])
                assert found is not saved[0]
                assert found == saved[0]
                assert _state(found) == _state(saved[0])
                _CHANGE[type(found).__name__](found)
                saved.append(found)
                await work.commit()

        async def third(bus: Any) -> None:
            assert _state(_find(UnitOfWork(bus), saved[1])) == _state(saved[1])
            assert bus.store.stream_version(saved[1].stream) == saved[1].version == 2

        self.run(tmp_path, first, second, third)

    @pytest.mark.parametrize("begin", _BEGIN)
    def test_of_two_who_change_the_same_one_saves(
        self, tmp_path: Path, begin: Callable[[UnitOfWork], AggregateRoot]
    ) -> None:
        async def program(bus: Any) -> None:
            async with UnitOfWork(bus) as work:
                saved = begin(work)
                await work.commit()
            one, other = UnitOfWork(bus), UnitOfWork(bus)
            for work in (one, other):
                _CHANGE[type(saved).__name__](_find(work, saved))
            await one.commit()
            with pytest.raises(ConcurrencyError):
                await other.commit()
            assert bus.store.stream_version(saved.stream) == 2

        self.run(tmp_path, program)

    def test_several_aggregates_are_saved_as_one_or_not_at_all(self, tmp_path: Path) -> None:
        async def program(bus: Any) -> None:
            async with UnitOfWork(bus) as work:
                for begin in _BEGIN:
                    begin(work)
                await work.commit()
            before = bus.store.last_seq
            one, other = UnitOfWork(bus), UnitOfWork(bus)
            one.balances.get("a", "1").reserve(_D(1))
            for change, found in ((name, _load(other, name)) for name in _CHANGE):
                _CHANGE[change](found)
            await one.commit()
            with pytest.raises(ConcurrencyError):
                await other.commit()
            assert bus.store.last_seq == before + 1

        self.run(tmp_path, program)

    def test_the_same_key_gives_the_same_object_and_what_is_missing_is_told(self, tmp_path: Path) -> None:
        async def program(bus: Any) -> None:
            work = UnitOfWork(bus)
            for repository in (work.trades, work.orders, work.positions, work.balances):
                assert repository.find("a", "1") is None
                with pytest.raises(AggregateNotFound, match=r"there is no .*a/1"):
                    repository.get("a", "1")
            with pytest.raises(ConfigError, match=r"add\(Order.submit"):
                work.orders.get_or_new("a", "1")
            for begin in _BEGIN:
                assert _find(work, begin(work)) is _find(work, begin(UnitOfWork(bus)))

        self.run(tmp_path, program)

    def test_an_order_is_the_fold_of_its_reports_and_conclusions(self, tmp_path: Path) -> None:
        states: list[Any] = []

        async def first(bus: Any) -> None:
            async with UnitOfWork(bus) as work:
                order: Any = _order(work)
                about: dict[str, Any] = {"order_id": "1", "symbol": "BTCUSDT", "account_id": "a"}
                order.apply_report(VenueOrderReported(**about, status=OrderStatus.ACCEPTED, venue_order_id="v"))
                await work.commit()
                fill = VenueFillReported(
                    **about, venue_trade_id="t", side=Side.BUY, price=_D(99), quantity=_D("0.5"), venue_order_id="v"
                )
                order.apply_fill(fill)
                assert order.apply_fill(fill) == []  # it is known
                order.apply_report(VenueOrderReported(**about, status=OrderStatus.CANCELLED, filled=_D("0.5")))
                await work.commit()
                states.append(_state(order))

        async def second(bus: Any) -> None:
            order = OrderRepository(bus.store).get("a", "1")
            assert _state(order) == states[0]
            assert (order.status, order.filled, order.venue_order_id) == (OrderStatus.CANCELLED, _D("0.5"), "v")
            types = [event.event_type for event in bus.store.read()]
            assert types == [
                "order.submitted",
                "venue.order_reported",
                "order.accepted",
                "venue.fill_reported",
                "order.partially_filled",
                "venue.order_reported",
                "order.cancelled",
            ]

        self.run(tmp_path, first, second)

    def test_a_long_stream_is_loaded_from_a_snapshot(self, tmp_path: Path) -> None:
        states: list[Any] = []

        async def first(bus: Any) -> None:
            async with UnitOfWork(bus) as work:
                position = work.positions.get_or_new("a", "BTCUSDT")
                for number in range(150):
                    side = Side.SELL if number % 5 == 4 else Side.BUY
                    position.fill(side, _D(100 + number), _D(1), trade_id=f"t{number}", fee=_D("0.1"))
                    await work.commit()
                states.append(_state(position))

        async def second(bus: Any) -> None:
            assert bus.store.load_snapshot("position/a/BTCUSDT").version == 100
            position = PositionRepository(bus.store).get("a", "BTCUSDT")
            assert _state(position) == states[0]
            assert position.version == 150

        self.run(tmp_path, first, second)


def _find(work: UnitOfWork, like: AggregateRoot) -> Any:
    return _load(work, type(like).__name__)


def _load(work: UnitOfWork, name: str) -> Any:
    repository: TradeRepository | OrderRepository | PositionRepository | BalanceRepository
    repository = {
        "Trade": work.trades,
        "Order": work.orders,
        "Position": work.positions,
        "BalanceAggregate": work.balances,
    }[name]  # type: ignore[assignment]
    return repository.get("a", "1")


def _state(thing: Any) -> Any:
    """All of the state as plain values, without the events that are not saved."""
    if isinstance(thing, DomainEvent):
        return thing.payload  # as it was given, and as it was read
    names = [name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())]
    names += list(getattr(thing, "__dict__", {}))
    skipped = ("_raised", "_in_run", "__weakref__", "reserved_ts")
    if not names or isinstance(thing, Decimal | str | int):
        return thing
    return {name: _state(getattr(thing, name)) for name in names if name not in skipped}
