"""The event bus in one process: which handlers receive which events, in which order, and what happens to errors.

Subscriptions, mailboxes, overflow, retries and dead letters belong here. Stamps and tapes do not.
"""

from tickdeck.application.bus.ambient import ambient_bus, get_event_bus, publish_domain_event, subscribe_to_event
from tickdeck.application.bus.cursor import Cursor
from tickdeck.application.bus.dead_letters import DeadLetter, dead_letters_on
from tickdeck.application.bus.event_bus import EventBus
from tickdeck.application.bus.event_filter import EventFilter
from tickdeck.application.bus.faults import describe_error
from tickdeck.application.bus.gate import Held
from tickdeck.application.bus.handlers import check_plain, is_async, refuse_unfinished
from tickdeck.application.bus.handling import caused, handled_event, handler_context, handling_on, leave_mailbox
from tickdeck.application.bus.in_memory_bus import InMemoryEventBus
from tickdeck.application.bus.ingress import Ingress
from tickdeck.application.bus.options import SubscribeOptions
from tickdeck.application.bus.overflow import (
    Block,
    BufferHalted,
    BufferStatistics,
    Conflate,
    DropOldest,
    Halt,
    OverflowBuffer,
    OverflowPolicy,
    Throttle,
    check_lossy,
)
from tickdeck.application.bus.receipt import HeldReceipt, Receipt, StagedReceipt, new_receipt, not_taken
from tickdeck.application.bus.recording_bus import RecordingBus
from tickdeck.application.bus.retry import Retry
from tickdeck.application.bus.selection import select, takes_market_data, type_name
from tickdeck.application.bus.statistics import BusStatistics
from tickdeck.application.bus.subscriptions import Handler, Plan, Subscription, not_an_event
from tickdeck.application.bus.topics import Topic

__all__ = [
    "Block",
    "BufferHalted",
    "BufferStatistics",
    "BusStatistics",
    "Conflate",
    "Cursor",
    "DeadLetter",
    "DropOldest",
    "EventBus",
    "EventFilter",
    "Halt",
    "Handler",
    "Held",
    "HeldReceipt",
    "InMemoryEventBus",
    "Ingress",
    "OverflowBuffer",
    "OverflowPolicy",
    "Plan",
    "Receipt",
    "RecordingBus",
    "Retry",
    "StagedReceipt",
    "SubscribeOptions",
    "Subscription",
    "Throttle",
    "Topic",
    "ambient_bus",
    "caused",
    "check_lossy",
    "check_plain",
    "dead_letters_on",
    "describe_error",
    "get_event_bus",
    "handled_event",
    "handler_context",
    "handling_on",
    "is_async",
    "leave_mailbox",
    "new_receipt",
    "not_an_event",
    "not_taken",
    "publish_domain_event",
    "refuse_unfinished",
    "select",
    "subscribe_to_event",
    "takes_market_data",
    "type_name",
]
