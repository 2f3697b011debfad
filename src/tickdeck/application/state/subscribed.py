"""The subscriptions that a run made and ended since it was prepared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tickdeck.application.bus import Subscription
from tickdeck.application.bus.subscriptions import Subscriptions
from tickdeck.application.kernel import STRATEGY
from tickdeck.application.state.reading import Reader
from tickdeck.application.state.scope import ForeignHandlerError, StateError
from tickdeck.application.state.writing import Writer

__all__ = ["read_subscriptions", "write_subscriptions"]


def write_subscriptions(table: Subscriptions, prepared: int, writer: Writer, watching: tuple[str, ...]) -> list[Any]:
    """The subscriptions of ``table``, in order. ``prepared``: the number of the last one of a run that was only
    prepared. Later ones of the components ``watching`` are left out, because they only observe, and so are async
    handlers, which a program subscribes again. Raises ``ForeignHandlerError`` for a handler that is not the run's."""
    written: list[Any] = []
    for subscription in table.subscribed():
        strategy = subscription.component.startswith(STRATEGY)
        if subscription.order <= prepared or strategy:
            written.append(_counted(subscription))
        elif not (subscription.edge or subscription.component in watching):
            written.append(_made_meanwhile(subscription, writer))
    return written


def read_subscriptions(
    table: Subscriptions,
    written: list[Any],
    reader: Reader,
    *,
    created: int,
    listen: Mapping[str, Callable[[], list[Subscription]]],
) -> None:
    """Bring ``table`` to what was ``written``. ``created``: the number of the last subscription. ``listen``: what
    subscribes a strategy's methods again, by component. Call it before the state of the objects is read."""
    wanted = {entry[0]: entry for entry in written}
    by_component: dict[str, list[int]] = {}
    for order, component, *_ in written:
        by_component.setdefault(component, []).append(order)
    present = table.subscribed()
    for subscription in present:
        if subscription.order not in wanted:
            subscription.cancel()
    table.number_from(created)  # above all that follow
    for component, subscribe in listen.items():
        orders = by_component.get(component, [])
        if orders and all(table.at(order) is None for order in orders):
            for subscription, order in zip(subscribe(), orders, strict=True):
                table.renumber(subscription, order)
    for order, component, name, calls, failures, *rest in written:
        found = table.at(order)
        if found is None and rest:
            priority, topic, handler = rest
            found = table.add(
                reader.read(topic), reader.read(handler), priority=priority, name=name, component=component
            )
            table.renumber(found, order)
        if found is None or (found.component, found.name) != (component, name):
            raise StateError(f"this run has no handler {name}")
        found.count_from(calls, failures)
    table.number_from(created)


def _made_meanwhile(subscription: Subscription, writer: Writer) -> list[Any]:
    handler = subscription.handler()
    where = f"the handler {subscription.name}"
    try:
        if subscription.call is not handler:
            raise StateError(f"{where} has a filter or is held weakly")
        parts = [writer.write(subscription.topic, (), where), writer.write(handler, (), where)]
    except StateError as error:
        raise ForeignHandlerError(str(error)) from None
    return [*_counted(subscription), subscription.priority, *parts]


def _counted(subscription: Subscription) -> list[Any]:
    figures = subscription.statistics()
    return [subscription.order, subscription.component, subscription.name, figures.calls, figures.failures]
