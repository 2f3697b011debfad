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

from collections.abc import Sequence
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
    """The base class of all errors that Tickdeck raises."""

    exit_code = 3


class ConfigError(TickdeckError):
    """The call or the configuration is wrong; the message says what, where, and how to fix it.

    ``mistakes`` has each mistake as one line, where there are several; the message is all of them.
    """

    exit_code = 2
    mistakes: tuple[str, ...] = ()

    @classmethod
    def of(cls, mistakes: Sequence[str]) -> ConfigError:
        """One error for all ``mistakes``, of which there is at least one."""
        error = cls("\n".join(mistakes))
        error.mistakes = tuple(mistakes)
        return error


class TopicWarning(UserWarning):
    """A subscription or a filter names a type that no event can have."""


class EventError(TickdeckError):
    """An event is not well formed."""


class EventValidationError(EventError, ValueError):
    """A field of an event has an invalid value; the message names event, field and value."""


class EventDecodeError(EventError):
    """Bytes do not decode to the event that they claim to be; the message names event, field and value."""


class EventSchemaError(EventDecodeError):
    """The bytes are intact, but this process's event class does not match them: another version without an upcast, or
    an unknown field. Nothing is damaged."""


class InputError(TickdeckError):
    """An input file cannot be read in its format; the message names file and line."""

    exit_code = 2


class TapeError(TickdeckError):
    """The tape cannot be opened, read or written."""


class ConcurrencyError(TapeError):
    """A stream is not at the version that the caller expected. Nothing was written, and the tape remains usable."""


class TapeVersionError(TapeError):
    """The file is not a tape, or a newer Tickdeck wrote it."""

    exit_code = 2


class RunError(TickdeckError):
    """A run cannot be found, resumed or verified."""

    exit_code = 2


class Terminated(BaseException):
    """A signal ends the process; ``number`` is the signal's. A signal handler raises it wherever the main thread is. It
    is not an ``Exception``, so the kernel never treats it as an error of the running strategy."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


_LONGEST = 200


def format_value(value: object) -> str:
    """A value as messages show it: decimals by their digits, everything else as Python writes it, long values cut
    off."""
    try:
        text = str(value) if isinstance(value, Decimal) else repr(value)
    except Exception:  # noqa: BLE001 (a value that cannot be shown must not hide the actual error)
        text = f"a {type(value).__name__}"
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}... ({len(text)} characters)"
    return text.encode("utf-8", "backslashreplace").decode()
