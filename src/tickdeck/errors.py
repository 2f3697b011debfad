"""Every error that Tickdeck raises on purpose.

    TickdeckError
    ├── ConfigError            the call or the configuration is wrong (exit code 2)
    │   └── ConditionError         the text of a condition cannot be read
    ├── EventError             an event is not well formed
    │   ├── EventValidationError   a field has a value that it must not have
    │   └── EventDecodeError       bytes are not the event that they claim to be
    │       └── EventSchemaError       they are, of a version or with a field that this process does not know
    ├── InputError             an input file cannot be read as what it should be (exit code 2)
    ├── TapeError              the tape cannot be opened, read or written (exit code 3)
    │   ├── ConcurrencyError       a stream has moved on since it was read; nothing was written
    │   └── TapeVersionError       it was written by a newer Tickdeck, or is no tape (exit code 2)
    ├── RunError               a run cannot be found, resumed or verified (exit code 2)
    ├── DomainError            a rule of trading forbids the change; nothing has changed
    │   ├── InsufficientBalance    less is free than is to be reserved
    │   ├── InvalidTransition      the life cycle has no such step
    │   ├── InvalidValue           an aggregate cannot take this value
    │   └── AggregateNotFound      the store has no events of it
    └── ExchangeError          an exchange refused a request, or it could not be made
        ├── RequestRefused         the exchange refused it: nothing happened there
        │   ├── InsufficientFunds      the account cannot pay for the order
        │   ├── InvalidSymbol          there is no such symbol
        │   ├── FilterViolated         a price, quantity, notional or number of orders is out of bounds
        │   ├── WouldTake              a post-only order would have taken liquidity
        │   ├── WouldTrigger           the price of a stop is reached already
        │   ├── DuplicateClientId      the client order id is taken
        │   ├── UnknownOrder           there is no such order (any more)
        │   ├── SymbolHalted           the symbol is not traded now
        │   ├── AuthenticationFailed   the key is wrong, or may not do that
        │   │   └── BadSignature           the signature is wrong
        │   ├── ClockSkew              the request's time is too far from the exchange's
        │   └── NotSupported           this exchange cannot do that
        ├── RateLimited            too many requests: nothing happened; wait ``wait`` seconds
        ├── VenueUnavailable       the exchange is down or not reachable: nothing was sent
        ├── OutcomeUnknown         nobody knows whether the exchange acted: never repeat it, query
        └── ProtocolError          the exchange sent something that cannot be read

The message of each says what happened, to what, and what to do. ``exit_code`` is what the command
line ends with when the error reaches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

__all__ = [
    "AggregateNotFound",
    "AuthenticationFailed",
    "BadSignature",
    "ClockSkew",
    "ConcurrencyError",
    "ConditionError",
    "ConfigError",
    "DomainError",
    "DuplicateClientId",
    "EventDecodeError",
    "EventError",
    "EventSchemaError",
    "EventValidationError",
    "ExchangeError",
    "FilterViolated",
    "InputError",
    "InsufficientBalance",
    "InsufficientFunds",
    "InvalidSymbol",
    "InvalidTransition",
    "InvalidValue",
    "NotSupported",
    "OutcomeUnknown",
    "ProtocolError",
    "RateLimited",
    "RequestRefused",
    "RunError",
    "SymbolHalted",
    "TapeError",
    "TapeVersionError",
    "Terminated",
    "TickdeckError",
    "TopicWarning",
    "UnknownOrder",
    "VenueUnavailable",
    "WouldTake",
    "WouldTrigger",
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

    @property
    def lines(self) -> tuple[str, ...]:
        """Each mistake as one line: ``mistakes``, or the message if there is only one."""
        return self.mistakes or (str(self),)


class ConditionError(ConfigError):
    """The text of a condition cannot be read. ``column`` (from 1) is where the mistake is; the message names it, and
    how to mend it."""

    def __init__(self, message: str, *, column: int) -> None:
        super().__init__(message)
        self.column = column


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


class DomainError(TickdeckError):
    """A rule of trading forbids the change. Nothing has changed."""


class InsufficientBalance(DomainError):
    """The account has less than is to be reserved."""


class InvalidTransition(DomainError):
    """The life cycle has no such step from the current status."""


class InvalidValue(DomainError, ValueError):
    """An aggregate cannot take this value; the message names the aggregate, the value, and what to give."""


class AggregateNotFound(DomainError):
    """The store has no events of this aggregate."""


class ExchangeError(TickdeckError):
    """An exchange refused a request, or it could not be made.

    ``code`` is the exchange's own code of the error, 0 where it gives none; ``status`` is the HTTP status, 0 without
    one.
    """

    def __init__(self, message: str, *, code: int = 0, status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class RequestRefused(ExchangeError):
    """The exchange answered and refused: the request had no effect. Also where the refusal has no class of its own."""


class InsufficientFunds(RequestRefused):
    """The account cannot pay for the order."""


class InvalidSymbol(RequestRefused):
    """The exchange does not list the symbol."""


class FilterViolated(RequestRefused):
    """A price, quantity, notional or number of orders breaks a rule of the symbol. ``filter`` is the exchange's name
    of the rule, empty where it gives none."""

    def __init__(self, message: str, *, code: int = 0, status: int = 0, filter: str = "") -> None:  # noqa: A002
        super().__init__(message, code=code, status=status)
        self.filter = filter


class WouldTake(RequestRefused):
    """A post-only order would have taken liquidity, so there is no order."""


class WouldTrigger(RequestRefused):
    """The price of a stop is reached already, so there is no order: what it should protect is not protected."""


class DuplicateClientId(RequestRefused):
    """Another order has this client order id."""


class UnknownOrder(RequestRefused):
    """The exchange has no such order, or it is not open any more. Queries may lag, so this proves little right after
    an order was sent."""


class SymbolHalted(RequestRefused):
    """The symbol is listed, but not traded now."""


class AuthenticationFailed(RequestRefused):
    """The key is unknown, or may not do that, or not from this address."""


class BadSignature(AuthenticationFailed):
    """The signature does not match the request and the key."""


class ClockSkew(RequestRefused):
    """The request's time is too far from the exchange's clock: measure the offset again."""


class NotSupported(RequestRefused):
    """This exchange cannot do that; ``capabilities`` says what it can."""


class RateLimited(ExchangeError):
    """Too many requests or orders. The request had no effect. ``wait`` is in seconds; ``banned`` is true where the
    exchange refuses everything from this address until then."""

    def __init__(self, message: str, *, wait: float, code: int = 0, status: int = 0, banned: bool = False) -> None:
        super().__init__(message, code=code, status=status)
        self.wait = wait
        self.banned = banned


class VenueUnavailable(ExchangeError):
    """The exchange is down or not reachable, or a circuit breaker is open. The request had no effect."""


class OutcomeUnknown(ExchangeError):
    """The request may have had its effect: it timed out, or the exchange failed while it worked. Never repeat it; ask
    for the order by its client order id."""


class ProtocolError(ExchangeError):
    """A message of the exchange cannot be read."""


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
