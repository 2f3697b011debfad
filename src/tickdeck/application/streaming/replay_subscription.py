"""Late subscriptions: past events first, then new ones, each once."""

from __future__ import annotations

from tickdeck.application.arguments import check_methods, check_whole
from tickdeck.application.bus import (
    EventBus,
    Handler,
    InMemoryEventBus,
    SubscribeOptions,
    Subscription,
    Topic,
    is_async,
)
from tickdeck.application.streaming.replay_log import EventTest, ReplayLog
from tickdeck.domain.events import DomainEvent, RawEvent, iter_event_classes
from tickdeck.errors import ConfigError

__all__ = ["subscribe_with_replay"]


def subscribe_with_replay(
    bus: EventBus,
    log: ReplayLog,
    topic: Topic,
    handler: Handler,
    *,
    replay_last: int | None = None,
    since: int | None = None,
    where: EventTest | None = None,
    priority: int = 0,
    name: str | None = None,
    component: str = "",
    weak: bool = False,
    mailbox: int = 10_000,
) -> Subscription:
    """Subscribe ``handler`` to ``topic`` and give it past events first: the last ``replay_last`` matching events of
    ``log``, or everything after ``since``, the seq of the last event that a returning subscriber has seen.

    Events arrive in order, each once. The replay ends before this function returns; every event dispatched from then on
    follows. Events that the handler publishes during the replay are dispatched after it. An ``async`` handler gets the
    past through its mailbox, which has room for it in addition to ``mailbox`` events. The other arguments are those of
    ``subscribe``. The log must follow the topics that the handler wants: see ``RingBuffer.follow``.

    Inside a handler, the log must be ``in_step``, or it would miss the running cascade. The new handler must be a plain
    one, because an ``async`` handler must not see that cascade before it is on disk. Otherwise raises ``ConfigError``.
    Also raises what ``ReplayLog`` raises, and what the handler raises during the replay; the handler is not subscribed
    then.
    """
    check_methods("subscribe_with_replay", "bus", bus, "subscribe", "batch")
    check_methods("subscribe_with_replay", "log", log, "last", "since")
    check_whole("subscribe_with_replay", "mailbox", mailbox, least=1)
    types, wanted = _selection(topic, where)
    if replay_last is not None and since is None:
        past = log.last(replay_last, types=types, where=wanted)
    elif since is not None and replay_last is None:
        past = list(log.since(since, types=types, where=wanted))
    else:
        raise ConfigError("replay: give either replay_last, a number of events, or since, the seq of the last one seen")
    options: SubscribeOptions = {
        "where": where, "priority": priority, "name": name, "component": component, "weak": weak,
    }  # fmt: skip
    if is_async(handler):
        options["mailbox"] = mailbox + len(past)
    subscription: Subscription = bus.subscribe(topic, handler, **options)
    try:
        if isinstance(bus, InMemoryEventBus) and bus.busy:
            _check_inside_a_handler(log, subscription)
        with bus.batch():
            for event in past:
                subscription.call(event)
    except BaseException:
        subscription.cancel()
        raise
    return subscription


def _check_inside_a_handler(log: ReplayLog, subscription: Subscription) -> None:
    if not log.in_step:
        raise ConfigError(
            f"replay: {subscription.name} subscribes inside a handler, and this log has no event of the cascade that "
            f"is running; use a RingBuffer that follows the bus, or subscribe outside"
        )
    if subscription.edge:
        raise ConfigError(
            f"replay: {subscription.name} is async and subscribes inside a handler, where events are not on disk yet; "
            f"subscribe it outside"
        )


def _selection(topic: Topic, where: EventTest | None) -> tuple[tuple[str, ...], EventTest | None]:
    """The topic in the form in which a log is queried."""
    if isinstance(topic, str):
        return (topic,), where
    cls: type[DomainEvent] = topic
    # Events of all unknown types have the class RawEvent, so it cannot be translated into a list of types.
    named = () if issubclass(RawEvent, cls) else tuple(c.event_type for c in iter_event_classes() if issubclass(c, cls))
    if where is None:
        return named, lambda event: isinstance(event, cls)
    return named, lambda event: isinstance(event, cls) and where(event)
