"""Which objects hold the state of a run, and how they are written and restored."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.bus.mailbox import Mailbox
from tickdeck.application.drivers import Driver, LiveDriver, Simulation
from tickdeck.application.engines import StrategyEngine, VenueGateway
from tickdeck.application.engines.strategies import StrategySurroundings
from tickdeck.application.kernel import STRATEGY, Agenda, Kernel
from tickdeck.application.parameters import Parametrised
from tickdeck.application.state import (
    Namespace,
    Reader,
    Scope,
    StateError,
    Writer,
    name_objects,
    read_subscriptions,
    write_subscriptions,
)
from tickdeck.application.strategies import Strategy
from tickdeck.bootstrap.core import Core
from tickdeck.domain.events import RunStarted
from tickdeck.infrastructure.clock import SteadyClock, SystemClock
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.runs import Manifest
from tickdeck.infrastructure.strategies.modules import classes_in, modules_of

__all__ = ["StateOfRun", "parts_of"]

_PACKAGES = (
    "tickdeck.bootstrap.account_engines",
    "tickdeck.bootstrap.venue_record",
    "tickdeck.infrastructure.exchanges.paper.",
    "tickdeck.infrastructure.exchanges.simulated.market",
)
_TRANSIENT: Mapping[type, tuple[str, ...]] = {
    Driver: ("_halt", "_stopping", "_wall", "has_taken_up", "latencies_ns"),
    LiveDriver: (
        *("_caught_up", "_clock", "_decode", "_duration", "_frames"),
        *("_on_market", "_past", "_record", "_timeout", "_until"),
    ),
    Simulation: ("_anchor", "_market", "_recalled"),
    Strategy: ("_log",),
    StrategySurroundings: ("_first", "context"),
    VenueGateway: ("_calls", "_cancelled_early", "_cancels_at_once", "_lanes", "_shut"),
}  # fmt: skip
_WATCHING = ("control", "live", "log", "report")
"""Components that only observe. They may be subscribed after the run was prepared, and differ from process to process.
"""


def parts_of(core: Core) -> dict[str, object]:
    """The engines of a run, by name."""
    return {name: part for name, part in vars(core).items() if name not in ("kernel", "users", "_folding")}


class StateOfRun:
    """The state of a run that was just prepared: its ``kernel``, ``agenda``, ``strategies`` and the other ``parts``, by
    name. ``outside``: classes of objects that every process makes for itself. ``users``: the classes of the user's
    strategies and signals."""

    def __init__(
        self,
        kernel: Kernel,
        agenda: Agenda,
        strategies: StrategyEngine,
        parts: Mapping[str, object],
        *,
        users: list[type[Parametrised]],
        outside: tuple[type, ...],
    ) -> None:
        self._kernel = kernel
        self._strategies = strategies
        modules = modules_of(users)
        classes = {(token, cls.__qualname__): cls for token, module in modules.items() for cls in classes_in(module)}
        self._scope = Scope(
            classes=classes,
            packages=_PACKAGES,
            outside=(InMemoryEventBus, Mailbox, RunConfig, Manifest, SystemClock, SteadyClock, *outside),
            transient=_TRANSIENT,
        )
        engines = {"kernel": kernel, **kernel.state_parts(), "agenda": agenda, **parts}
        hearers: dict[str, object] = {}
        for subscription in kernel.table.subscribed():  # whoever hears events may have a state
            hearers[f"handler {subscription.order}"] = [subscription.handler(), subscription.call]
        for token, module in modules.items():
            hearers[f"module {token}"] = Namespace(module)
        for (token, name), cls in classes.items():
            if type(cls) is type and not issubclass(cls, BaseException):  # others have no variables of their own
                hearers[f"class {token}.{name}"] = Namespace(cls)
        self._roots = {**engines, **hearers}
        # Handlers have other numbers where strategies are not loaded, so they name only what no engine leads to.
        self._named = name_objects((engines, hearers), self._scope)
        self._prepared = kernel.table.created

    def write(self) -> dict[str, Any]:
        """The state now, as JSON values. Raises ``StateError`` if a part of it cannot be written."""
        with _without_collection():
            return self._write()

    def _write(self) -> dict[str, Any]:
        kernel, table = self._kernel, self._kernel.table
        for strategy_id, surroundings in self._strategies.surroundings.items():
            if others := surroundings.other_variables():
                raise StateError(f"strategy {strategy_id} sets the context variable {others[0]}")
        writer = Writer(self._named, self._scope)
        for name, root in self._roots.items():
            writer.write(root, (), name)
        subscriptions = write_subscriptions(table, self._prepared, writer, _WATCHING)
        return {
            "kernel": [kernel.seq, kernel.inputs, kernel.halted],
            "created": table.created,
            "published": dict(table.published),
            "subscriptions": subscriptions,
            "decimals": {name: each.decimals() for name, each in self._strategies.surroundings.items()},
            **writer.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put a state into the prepared run. Raises whatever a state that does not fit raises; the run is of no use
        then."""
        with _without_collection():
            self._restore(state)

    def restore_parts(self, state: Mapping[str, Any], parts: Collection[str]) -> None:
        """Put only the state of these ``parts`` into the run. What they have subscribed meanwhile is not subscribed.
        Raises like ``restore``."""
        kernel = self._kernel
        ended = kernel.subscribe(RunStarted, lambda event: None)
        ended.cancel()
        with _without_collection():
            Reader(state, self._named, self._scope, lambda order: kernel.table.at(order) or ended).fill(parts)

    def _restore(self, state: Mapping[str, Any]) -> None:
        kernel, table = self._kernel, self._kernel.table
        before = {subscription.order: subscription for subscription in table.subscribed()}
        reader = Reader(state, self._named, self._scope, lambda order: table.at(order) or before.get(order))
        listen = {f"{STRATEGY}{name}": _Listen(self._strategies, name) for name in self._strategies.strategies}
        read_subscriptions(table, state["subscriptions"], reader, created=state["created"], listen=listen)
        reader.fill()
        table.count_published(state["published"])
        for name, settings in state["decimals"].items():
            self._strategies.surroundings[name].set_decimals(settings)
        seq, inputs, halted = state["kernel"]
        kernel.continue_at(seq=seq, inputs=inputs, halted=halted)
        for subscription in table.subscribed():
            if subscription.mailbox is not None and subscription.mailbox.cursor is not None:
                subscription.mailbox.cursor.continue_at(seq)


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """A state has a hundred thousand small parts, none of which is garbage."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Listen:
    """Subscribes the methods of one strategy again."""

    def __init__(self, engine: StrategyEngine, strategy_id: str) -> None:
        self._engine = engine
        self._strategy_id = strategy_id

    def __call__(self) -> Any:
        return self._engine.listen_again(self._strategy_id)
