"""Shared by the tests of the bounded queue and of async handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def turns(count: int = 5) -> None:
    """Give every task that can continue a turn."""
    for _ in range(count):
        await asyncio.sleep(0)


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(60):  # a test that would hang fails instead
            await main()

    asyncio.run(timed())


def other_tasks() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
