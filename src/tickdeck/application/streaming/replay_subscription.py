"""Subscribing late: first what has been, then what comes, each event once."""

from __future__ import annotations

from tickdeck.application.bus import Handler, InMemoryEventBus, Subscription, Topic
from tickdeck.application.streaming.replay_log import EventTest, ReplayLog
from tickdeck.domain.events import DomainEvent, RawEvent, iter_event_classes
from tickdeck.errors import ConfigError

__all__ = ["subscribe_with_replay"]


def subscribe_with_replay(
    bus: InMemoryEventBus,
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
    """Subscribe ``handler`` to ``topic``, and give it the past first: the last ``replay_last`` matching events of
    ``log``, or (a subscriber who comes back) all after ``since``, the seq of the last that it has seen.

    The events come in order, each once: the replay is over before this returns, and then come all that are dispatched
    from here on. What the handler publishes during the replay is dispatched after it. An ``async`` handler gets the
    past through its mailbox, which has room for it on top of ``mailbox`` events. The other arguments are those of
    ``InMemoryEventBus.subscribe``. The log must hear what the handler wants to hear: see ``RingBuffer.follow``.

    Inside a handler it takes a log that is ``in_step``, since the cascade that is running would else be missing, and a
    plain handler, since an ``async`` one must not see that cascade before it is on disk: ``ConfigError`` otherwise.
    Raises what ``ReplayLog`` raises, and what the handler raises during the replay: then it is not subscribed.
    """
    types, wanted = _selection(topic, where)
    if replay_last is not None and since is None:
        past = log.last(replay_last, types=types, where=wanted)
    elif since is not None and replay_last is None:
        past = list(log.since(since, types=types, where=wanted))
    else:
        raise ConfigError("replay: give either replay_last, a number of events, or since, the seq of the last one seen")
    subscription = bus.subscribe(
        topic,
        handler,
        where=where,
        priority=priority,
        name=name,
        component=component,
        weak=weak,
        mailbox=mailbox + len(past),
    )
    try:
        if bus.busy:
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
    """What a topic takes, as a log is asked for it."""
    if isinstance(topic, str):
        return (topic,), where
    cls: type[DomainEvent] = topic
    # Events of unknown types are of the class RawEvent, whatever their type is called.
    named = () if issubclass(RawEvent, cls) else tuple(c.event_type for c in iter_event_classes() if issubclass(c, cls))
    if where is None:
        return named, lambda event: isinstance(event, cls)
    return named, lambda event: isinstance(event, cls) and where(event)
