"""Control of a running run from another process: a socket in the run's folder, and the file ``HALT``.

A request is one line of JSON, and so is its answer. Both are in ``messages``.
"""

from tickdeck.infrastructure.control.client import ask, query
from tickdeck.infrastructure.control.desk import CommandDesk
from tickdeck.infrastructure.control.halt_file import lift_halt, order_halt, ordered_halt
from tickdeck.infrastructure.control.messages import COMMANDS, Answer, QueryAnswer, Request
from tickdeck.infrastructure.control.server import ControlServer

__all__ = [
    "COMMANDS",
    "Answer",
    "CommandDesk",
    "ControlServer",
    "QueryAnswer",
    "Request",
    "ask",
    "lift_halt",
    "order_halt",
    "ordered_halt",
    "query",
]
