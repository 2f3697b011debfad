"""Every error that Tickdeck raises on purpose.

    TickdeckError
    ├── ConfigError            the call or the configuration is wrong (exit code 2)
    ├── EventError             an event is not well formed
    │   ├── EventValidationError   a field has a value that it must not have
    │   └── EventDecodeError       bytes are not the event that they claim to be
    │       └── EventSchemaError       they are, of a version or with a field that this process does not know
    ├── InputError             an input file cannot be read as what it should be (exit code 2)
    ├── TapeError              the tape cannot be opened, read or written (exit code 3)
    │   ├── ConcurrencyError       a stream has moved on since it was read; nothing was written
    │   └── TapeVersionError       it was written by a newer Tickdeck, or is no tape (exit code 2)
    └── RunError               a run cannot be found, resumed or verified (exit code 2)

The message of each says what happened, to what, and what to do. ``exit_code`` is what the command
line ends with when the error reaches it.
"""

from __future__ import annotations

from decimal import Decimal

__all__ = [
    "ConcurrencyError",
    "ConfigError",
    "EventDecodeError",
    "EventError",
    "EventSchemaError",
    "EventValidationError",
    "InputError",
    "RunError",
    "TapeError",
    "TapeVersionError",
    "Terminated",
    "TickdeckError",
    "TopicWarning",
    "format_value",
]


class TickdeckError(Exception):
    """The root of the tree."""

    exit_code = 3


class ConfigError(TickdeckError):
    """The call or the configuration is wrong: what, where, how to mend it."""

    exit_code = 2


class TopicWarning(UserWarning):
    """A subscription or a filter asks for a type that no event can have."""


class EventError(TickdeckError):
    """An event is not well formed."""


class EventValidationError(EventError, ValueError):
    """A field of an event has a value that it must not have; names event, field and value."""


class EventDecodeError(EventError):
    """Bytes are not the event that they claim to be; names event, field and value."""


class EventSchemaError(EventDecodeError):
    """The bytes are whole, but this process's class of the event does not fit them: another version without an upcast,
    or a field that the class does not know. Nothing is damaged."""


class InputError(TickdeckError):
    """An input file cannot be read as what it should be; names file and line."""

    exit_code = 2


class TapeError(TickdeckError):
    """The tape cannot be opened, read or written."""


class ConcurrencyError(TapeError):
    """A stream is not at the version that the caller expected. Nothing was written, and the tape goes on."""


class TapeVersionError(TapeError):
    """The file is no tape, or one that a newer Tickdeck wrote."""

    exit_code = 2


class RunError(TickdeckError):
    """A run cannot be found, resumed or verified."""

    exit_code = 2


class Terminated(BaseException):
    """A signal ends the process; ``number`` is the signal's. A signal handler raises it wherever the main thread is. It
    is no ``Exception``, and the kernel never takes it for a fault of the strategy that was running.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


_LONGEST = 200


def format_value(value: object) -> str:
    """A value as messages show it: a decimal by its digits, all else as Python writes it, long ones cut off."""
    try:
        text = str(value) if isinstance(value, Decimal) else repr(value)
    except Exception:  # noqa: BLE001 (a value that cannot be shown must not hide what is wrong with it)
        text = f"a {type(value).__name__}"
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}... ({len(text)} characters)"
    return text.encode("utf-8", "backslashreplace").decode()
