"""What a program asks for: commands, which change something, and queries, which do not."""

from __future__ import annotations

from typing import Protocol, TypeVar

from tickdeck.application.commands.fields import check_fields
from tickdeck.domain.aggregates import ValueObject

__all__ = ["Command", "CommandHandler", "Query", "QueryHandler"]


class Command(ValueObject, frozen=True, kw_only=True):
    """Subclass it for each command. ``command_id`` is the sender's: the same id means the same command of this class,
    sent again. Leave it empty if a command is never sent twice. Raises ``ConfigError`` for a field of a wrong type."""

    command_id: str = ""

    def __post_init__(self) -> None:
        check_fields(self)


class Query(ValueObject, frozen=True, kw_only=True):
    """Subclass it for each query. Raises ``ConfigError`` for a field of a wrong type."""

    def __post_init__(self) -> None:
        check_fields(self)


C = TypeVar("C", bound=Command, contravariant=True)
Q = TypeVar("Q", bound=Query, contravariant=True)
R = TypeVar("R", covariant=True)


class CommandHandler(Protocol[C, R]):
    """Handles the commands of one class."""

    async def handle(self, command: C, /) -> R:
        """Carry out the command. Raises a ``TickdeckError`` if it cannot be; then nothing was saved."""


class QueryHandler(Protocol[Q, R]):
    """Answers the queries of one class."""

    async def handle(self, query: Q, /) -> R:
        """The answer. Changes nothing."""
