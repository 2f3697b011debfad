"""``tickdeck dead-letters``."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import click

from tickdeck.errors import RunError
from tickdeck.interfaces.cli.commands.tape import find_tape
from tickdeck.interfaces.cli.describing import describe_event
from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import data_option, import_option, json_option
from tickdeck.interfaces.cli.output import event_fields, note, print_lines

if TYPE_CHECKING:
    from tickdeck.application.bus import DeadLetter

__all__ = ["dead_letters"]


@click.command("dead-letters")
@click.argument("run", metavar="RUN|TAPE")
@click.argument("event_id", required=False, metavar="[EVENT_ID]")
@click.option("--resend", is_flag=True, help="Send the event to its handler again; RUN must be running.")
@click.option("--handler", metavar="NAME", help="Only the letters of this handler.")
@import_option
@data_option
@json_option(
    "One JSON object per letter: `event_id`, `event_type`, `handler`, `error`, `attempts`, `event`; with --resend, the "
    "answer as one object,"
)
def dead_letters(run: str, event_id: str | None, resend: bool, handler: str | None, data: Path, as_json: bool) -> int:
    """List the events that a handler of RUN failed to handle in all attempts, and has not handled since.

    Instead of a run you can give the path of a tape, such as the tape of a bus (a .db file, a folder). With EVENT_ID,
    the letters of that event are shown in full. With --resend, a running run sends the event to its handler again; if
    the handler handles it, it is no longer listed. On a bus, `bus.resend(...)` does that.

    \b
    Examples:
      tickdeck dead-letters last
      tickdeck dead-letters last 1714-3 --json
      tickdeck dead-letters last 1714-3 --resend
      tickdeck dead-letters house.db
    """
    if resend:
        if event_id is None:
            raise click.UsageError("give the id of the event: tickdeck dead-letters RUN EVENT_ID --resend")
        from tickdeck.interfaces.cli.sending import send

        return send(data, run, "resend", "", token_hex(8), as_json, event_id=event_id, handler=handler or "")
    letters = [letter for letter in _letters(find_tape(data, run)) if handler in (None, letter.handler)]
    if event_id is not None:
        letters = [letter for letter in letters if letter.event.event_id == event_id]
        if not letters:
            raise RunError(f"this run has no dead letter of event {event_id!r}; omit the id to list all")
    if as_json:
        import msgspec

        print_lines(msgspec.json.encode(_fields(letter)) for letter in letters)
    elif event_id is not None:
        print_lines("\n\n".join(map(_whole, letters)).splitlines())
    else:
        print_lines(map(_line, letters))
        if not letters:
            note(
                "there are no dead letters: every async handler has handled its events; errors in other handlers: "
                f"`tickdeck events {run} --type system.handler_failed`"
            )
    return DONE


def _letters(tape: Path) -> list[DeadLetter]:
    from tickdeck.application.bus import dead_letters_on
    from tickdeck.application.ports import TapeQuery
    from tickdeck.domain.events import CommandReceived, DeadLetterHandled, EventDeadLettered
    from tickdeck.infrastructure.tape.opening import open_reader

    types = (EventDeadLettered.event_type, DeadLetterHandled.event_type, CommandReceived.event_type)
    with open_reader(tape) as reader:
        return list(dead_letters_on(reader.read(TapeQuery(types=types))))


def _fields(letter: DeadLetter) -> dict[str, Any]:
    fields = event_fields(letter.event)
    return {
        "event_id": letter.event.event_id,
        "event_type": fields["event_type"],
        "handler": letter.handler,
        "error": letter.error,
        "attempts": letter.attempts,
        "event": fields,
    }


def _line(letter: DeadLetter) -> str:
    from tickdeck.application.bus import type_name

    event = letter.event
    what = f"{type_name(event)} {describe_event(event)}".rstrip()
    return f"{event.event_id:<12} {letter.handler}: {_error(letter)}: {what}"


def _error(letter: DeadLetter) -> str:
    times = {0: "not called: its mailbox was full", 1: "once"}.get(letter.attempts, f"{letter.attempts} times")
    return f"{' '.join(letter.error.split())} ({times})"


def _whole(letter: DeadLetter) -> str:
    import msgspec

    event = msgspec.json.format(msgspec.json.encode(event_fields(letter.event)), indent=2).decode()
    return f"handler  {letter.handler}\nerror    {_error(letter)}\nevent    {event}"
