"""The rows of the bus and the kernel."""

from __future__ import annotations

from typing import Any

from tickdeck.interfaces.bench.row import Goal, Part, Row, own_part

__all__ = ["BUS_ROWS"]


def _bus_peers(handlers: int) -> dict[str, Part]:
    def peer(name: str, module: str, in_it: str, count: int = 200_000, **more: Any) -> Part:
        return Part(
            target=name,
            parameters={"handlers": handlers, "count": count // handlers},
            quick={"count": max(count // 200, 20)},
            module=module,
            in_it=in_it,
            **more,
        )

    return {
        "nautilus_trader": peer(
            "nautilus_bus",
            "nautilus_trader",
            "MessageBus.publish (Cython): topics with wildcards, priorities, counters; "
            "a handler's error reaches the publisher; no ids, no tape",
        ),
        "pyee": peer(
            "pyee_bus", "pyee", "EventEmitter.emit: a lock; a handler's error reaches the publisher; no ids, no tape"
        ),
        "blinker": peer(
            "blinker_bus",
            "blinker",
            "Signal.send: by sender, weak references; a handler's error reaches the sender; no ids, no tape",
        ),
        "vnpy": peer(
            "vnpy_bus",
            "vnpy_evo",
            "EventEngine.put: a queue and a thread of its own; one error ends that thread; no ids, no tape",
        ),
        "bubus": peer(
            "bubus_bus",
            "bubus",
            "dispatch and await: pydantic events with ids and parents, results and history kept, asyncio; no tape",
            count=1_000,
            timeout=60.0,
        ),
    }


_BUS = (
    "InMemoryEventBus(stamp=False).publish: handlers by type, class and wildcard, priorities, isolation of errors, "
    "counters; no ids, no tape"
)
_STAMPED_BUS = (
    "InMemoryEventBus.publish with default settings: the same, and each event is copied and gets an id, a "
    "correlation id and the time of day; no tape"
)
_BARE_DISPATCH = "a dict from type to a list of handlers, and a loop over them"
BUS_ROWS = (
    Row(
        name="bus-1",
        what="bus, publish to 1 sync handler",
        unit="events/s",
        part=own_part("bus:bus", 500_000, 5_000, handlers=1),
        in_it=_BUS,
        ceiling_is=_BARE_DISPATCH,
        peers=_bus_peers(1),
        goals=(
            Goal(text="at least 2.1 M/s", at_least=2.1e6),
            Goal(text="at least 3 x nautilus_trader", of="nautilus_trader", at_least=3.0),
        ),
        warm_up=1,
    ),
    Row(
        name="bus-1-stamped",
        what="bus, publish to 1 sync handler, with ids and times",
        unit="events/s",
        part=own_part("bus:bus", 500_000, 5_000, handlers=1, stamp=True),
        in_it=_STAMPED_BUS,
        ceiling_is=_BARE_DISPATCH,
        warm_up=1,
    ),
    Row(
        name="bus-10",
        what="bus, publish to 10 sync handlers",
        unit="deliveries/s",
        part=own_part("bus:bus", 100_000, 1_000, handlers=10),
        in_it=_BUS,
        ceiling_is=_BARE_DISPATCH,
        peers=_bus_peers(10),
        goals=(Goal(text="at least 10 M/s", at_least=10e6),),
        warm_up=1,
    ),
    Row(
        name="kernel",
        what="the whole kernel, with a tape that stores nothing",
        unit="events/s",
        part=own_part("bus:kernel", 200_000, 2_000),
        in_it="Kernel.feed of a trade whose handler publishes a prepared signal: both are copied and stamped with "
        "ids, causes and times; cascades, isolation of errors, counters; a tape that stores nothing",
        ceiling_is="a copy of each event and a call of its handler",
        goals=(Goal(text="at least 0.7 M/s", at_least=0.7e6),),
        warm_up=1,
    ),
)
