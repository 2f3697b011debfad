"""Events that a handler failed to handle: kept, published, and sent again on request."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tickdeck.application.bus.subscriptions import Subscription
from tickdeck.domain.events import (
    CommandReceived,
    DeadLetterHandled,
    DomainEvent,
    EventDeadLettered,
    event_from_json,
)

__all__ = ["RESEND", "DeadLetter", "DeadLetters", "dead_letters_on"]

RESEND = "resend"
"""The ``command.received`` that sends a dead letter again. Its arguments are ``letter_id``, ``event_id`` and
``handler``."""
_KEPT = 10_000


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event that ``handler`` failed to handle in ``attempts`` calls, and the ``error`` of the last one.

    ``attempts`` is 0 if the mailbox had no room. ``letter_id`` identifies the letter on its bus. On a bus with a tape
    it is derived from the event's id and the handler, so it is the same after a restart.
    """

    event: DomainEvent
    handler: str
    error: str
    attempts: int = 1
    letter_id: str = ""


class DeadLetters:
    """The newest 10,000 letters, oldest first. ``forgotten`` counts those that were removed.

    ``numbered``: the bus gives events no ids, so letters are numbered.
    """

    def __init__(self, *, numbered: bool) -> None:
        self._numbered = numbered
        self._kept: dict[str, DeadLetter] = {}
        self._owners: dict[str, Subscription] = {}
        self._sent: dict[str, None] = {}  # letters that are being sent to their handlers again
        self._added = 0
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, letter: DeadLetter) -> bool:
        return letter.letter_id in self._kept

    def add(self, letter: DeadLetter, owner: Subscription | None = None) -> DeadLetter:
        """Keep ``letter`` as the newest, under its id or a new one. It replaces a letter with the same id, which was
        sent again and failed again. ``owner`` is the subscription that failed; ``None`` if that was in an earlier
        process."""
        if not letter.letter_id:
            self._added += 1
            letter_id = str(self._added) if self._numbered else self._free_id(letter, owner)
            letter = msgspec.structs.replace(letter, letter_id=letter_id)
        self.remove(letter.letter_id)
        self._kept[letter.letter_id] = letter
        if owner is not None:
            self._owners[letter.letter_id] = owner
        if len(self._kept) > _KEPT:
            self.remove(next(iter(self._kept)))
            self.forgotten += 1
        return letter

    def _free_id(self, letter: DeadLetter, owner: Subscription | None) -> str:
        """Plain handlers may share a name, but not their letters."""
        base = letter_id = _letter_id(letter.event.event_id, letter.handler)
        number = 1
        while (other := self._owners.get(letter_id)) is not None and other is not owner:
            number += 1
            letter_id = f"{base}#{number}"
        return letter_id

    def owner(self, letter: DeadLetter) -> Subscription | None:
        """The subscription that failed, if it was in this process."""
        return self._owners.get(letter.letter_id)

    def remove(self, letter_id: str) -> None:
        """Remove a letter, because its handler has handled it."""
        self._kept.pop(letter_id, None)
        self._owners.pop(letter_id, None)
        self._sent.pop(letter_id, None)

    def is_sent(self, letter: DeadLetter) -> bool:
        """Whether the letter is being sent to its handler again."""
        return letter.letter_id in self._sent

    def mark_sent(self, letter: DeadLetter) -> None:
        self._sent[letter.letter_id] = None

    def mark_returned(self, letter: DeadLetter) -> None:
        """The letter did not reach its handler, so it can be sent again."""
        self._sent.pop(letter.letter_id, None)

    def all(self) -> tuple[DeadLetter, ...]:
        return tuple(self._kept.values())


def dead_letters_on(record: Iterable[DomainEvent]) -> tuple[DeadLetter, ...]:
    """The open dead letters of a record: each ``system.event_dead_lettered`` without a later
    ``system.dead_letter_handled``. So letters outlive the process that could not deliver them."""
    letters = DeadLetters(numbered=False)
    for event in record:
        if isinstance(event, EventDeadLettered):
            dead = event_from_json(event.payload_json)
            letter_id = _letter_id(event.dead_event_id, event.handler)
            letters.add(
                DeadLetter(
                    event=dead, handler=event.handler, error=event.error, attempts=event.attempts, letter_id=letter_id
                )
            )
        elif isinstance(event, DeadLetterHandled):
            letters.remove(_letter_id(event.dead_event_id, event.handler))
        elif isinstance(event, CommandReceived) and event.command == RESEND and "letter_id" not in event.arguments:
            # Older versions did not record that a letter was handled; the command counted as success.
            arguments = event.arguments
            letters.remove(_letter_id(arguments.get("event_id", ""), arguments.get("handler", "")))
    return letters.all()


def _letter_id(event_id: str, handler: str) -> str:
    return f"{event_id}:{handler}"
