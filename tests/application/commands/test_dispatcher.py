"""Commands and queries reach their handlers, through middleware."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tickdeck.application.commands import (
    Command,
    Dispatcher,
    Query,
    log_commands,
    once_per_id,
    retry_on_conflict,
    time_commands,
)
from tickdeck.errors import ConcurrencyError, ConfigError


class Buy(Command, frozen=True, kw_only=True):
    count: int = 1


class HowMany(Query, frozen=True, kw_only=True):
    pass


class Shop:
    """Handles both; ``failures`` are raised one after the other first."""

    def __init__(self, *failures: Exception) -> None:
        self.sold = self.calls = 0
        self.failures = list(failures)

    async def handle(self, message: Buy | HowMany) -> int:
        self.calls += 1
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        if isinstance(message, Buy):
            self.sold += message.count
        return self.sold


def dispatcher_of(shop: Shop, *middleware) -> Dispatcher:
    dispatcher = Dispatcher(*middleware)
    dispatcher.register(Buy, shop)
    dispatcher.register(HowMany, shop)
    return dispatcher


def test_each_message_has_its_handler() -> None:
    dispatcher = dispatcher_of(Shop())

    assert asyncio.run(dispatcher.dispatch(Buy(count=2))) == 2
    assert asyncio.run(dispatcher.dispatch(HowMany())) == 2


def test_wrong_registrations_and_unknown_messages_are_refused() -> None:
    dispatcher = Dispatcher()
    with pytest.raises(ConfigError, match="nothing is registered for Buy"):
        asyncio.run(dispatcher.dispatch(Buy()))
    with pytest.raises(ConfigError, match="neither a Command class nor a Query class"):
        dispatcher.register(int, Shop())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="handle"):
        dispatcher.register(Buy, object())
    dispatcher.register(Buy, Shop())
    with pytest.raises(ConfigError, match="Buy has a handler already"):
        dispatcher.register(Buy, Shop())


def test_middleware_runs_around_the_handler_the_first_one_outermost() -> None:
    seen: list[str] = []

    def named(name: str):
        async def middleware(message, call):
            seen.append(f"{name} in")
            result = await call(message)
            seen.append(f"{name} out")
            return result

        return middleware

    asyncio.run(dispatcher_of(Shop(), named("a"), named("b")).dispatch(Buy()))

    assert seen == ["a in", "b in", "b out", "a out"]


def test_a_conflict_is_tried_again_and_any_other_error_is_not() -> None:
    shop = Shop(ConcurrencyError("changed"), ConcurrencyError("changed"))
    assert asyncio.run(dispatcher_of(shop, retry_on_conflict(3)).dispatch(Buy())) == 1

    shop = Shop(*[ConcurrencyError("changed")] * 3)
    with pytest.raises(ConcurrencyError):
        asyncio.run(dispatcher_of(shop, retry_on_conflict(3)).dispatch(Buy()))
    assert shop.calls == 3

    shop = Shop(ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        asyncio.run(dispatcher_of(shop, retry_on_conflict(3)).dispatch(Buy()))
    assert shop.calls == 1


def test_a_command_id_is_handled_once_also_while_it_is_under_way() -> None:
    async def program() -> None:
        shop = Shop()
        dispatcher = dispatcher_of(shop, once_per_id())

        both = await asyncio.gather(*(dispatcher.dispatch(Buy(command_id="1")) for _ in range(2)))

        assert (both, shop.sold) == ([1, 1], 1)
        assert await dispatcher.dispatch(Buy(command_id="1")) == 1
        assert await dispatcher.dispatch(Buy(command_id="2")) == 2
        assert await dispatcher.dispatch(Buy()) == 3

    asyncio.run(program())


class Refund(Command, frozen=True, kw_only=True):
    pass


def test_commands_of_two_classes_may_share_an_id_because_both_answer_one_event() -> None:
    async def program() -> None:
        shop = Shop()
        dispatcher = dispatcher_of(shop, once_per_id())
        dispatcher.register(Refund, shop)

        await dispatcher.dispatch(Buy(command_id="1"))
        await dispatcher.dispatch(Refund(command_id="1"))
        await dispatcher.dispatch(Refund(command_id="1"))

        assert shop.calls == 2

    asyncio.run(program())


def test_a_caller_that_is_cancelled_does_not_stop_the_command() -> None:
    async def program() -> None:
        shop = Shop()
        dispatcher = dispatcher_of(shop, once_per_id())
        first = asyncio.ensure_future(dispatcher.dispatch(Buy(command_id="1")))
        await asyncio.sleep(0)
        first.cancel()

        assert await dispatcher.dispatch(Buy(command_id="1")) == 1
        assert shop.calls == 1

    asyncio.run(program())


def test_a_handler_that_does_not_take_the_message_is_refused_when_it_is_registered() -> None:
    class NoMessage:
        async def handle(self) -> None: ...

    with pytest.raises(ConfigError, match=r"register: NoMessage.handle does not take the message alone"):
        Dispatcher().register(Buy, NoMessage())


def test_a_command_that_raised_may_be_sent_again() -> None:
    async def program() -> None:
        dispatcher = dispatcher_of(Shop(ValueError("wrong")), once_per_id())

        with pytest.raises(ValueError, match="wrong"):
            await dispatcher.dispatch(Buy(command_id="1"))
        await asyncio.sleep(0)
        assert await dispatcher.dispatch(Buy(command_id="1")) == 1

    asyncio.run(program())


def test_commands_are_logged_by_name_and_id_without_their_fields(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = dispatcher_of(Shop(ValueError("wrong")), log_commands())

    with caplog.at_level(logging.INFO, "tickdeck.commands"):
        with pytest.raises(ValueError, match="wrong"):
            asyncio.run(dispatcher.dispatch(Buy(command_id="7", count=123)))
        asyncio.run(dispatcher.dispatch(Buy(command_id="8", count=123)))
        asyncio.run(dispatcher.dispatch(HowMany()))

    assert caplog.messages == ["Buy 7: ValueError: wrong", "Buy 8: done"]


def test_the_time_of_each_class_is_measured() -> None:
    now, into = [0], {}

    def clock() -> int:
        now[0] += 1_000
        return now[0]

    dispatcher = dispatcher_of(Shop(), time_commands(clock, into))
    asyncio.run(dispatcher.dispatch(Buy()))

    assert list(into) == ["Buy"]
    assert into["Buy"].count == 1
