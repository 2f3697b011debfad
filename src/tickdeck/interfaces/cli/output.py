"""What commands print: JSON for scripts, lines and tables for people."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

    from tickdeck.domain.events import DomainEvent

__all__ = [
    "console",
    "cut",
    "event_fields",
    "mute",
    "note",
    "note_if_possible",
    "one_line",
    "print_json",
    "print_lines",
    "program",
]

_HEAD = ("seq", "event_id", "event_type", "ts", "aggregate_id", "correlation_id", "causation_id")


def event_fields(event: DomainEvent) -> dict[str, Any]:
    """An event as commands print it: the promised keys first, then the rest of the envelope, then its own fields."""
    fields: dict[str, Any] = event.to_dict()
    return {name: fields[name] for name in _HEAD} | fields


def print_json(value: object) -> None:
    """One JSON document in one line on stdout."""
    click.echo(msgspec.json.encode(value))


def print_lines(lines: Iterable[str | bytes], *, at_once: bool = False) -> None:
    """Lines on stdout, many in one write; ``at_once``: each as soon as it is there."""
    out = sys.stdout.buffer
    for line in lines:
        out.write((line.encode(errors="replace") if isinstance(line, str) else line) + b"\n")
        if at_once:
            out.flush()
    out.flush()


def one_line(text: str) -> str:
    """``text`` with what is not printable escaped: a file's name may hold a line break, and must not look like two
    messages nor work the terminal."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def note(text: str) -> None:
    """A line for people on stderr. Raises ``OSError`` where stderr takes no more."""
    click.echo(f"tickdeck: {one_line(text)}", err=True)


def note_if_possible(text: str) -> bool:
    """``note``, at the end of something that went on without its reader. Returns whether the line was written; the next
    ones are lost where it was not, without an error at the end of the process."""
    try:
        note(text)
    except OSError as error:
        mute(sys.stderr)
        return error.errno == errno.EPIPE  # the reader has seen enough, as of a pipe to `head`
    return True


def mute(stream: TextIO) -> None:
    """Have nothing more written to ``stream``, not even what still waits in its buffer."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def console() -> Console:
    """Stdout for tables: styled on a terminal, plain text elsewhere; a pipe or a file is 100 columns wide."""
    from rich.console import Console

    class Pipe(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # handled where that of every command is; rich's own way would end with 1

    return Pipe(width=None if sys.stdout.isatty() else 100, highlight=False, emoji=False, markup=False)


def program() -> str:
    """What to type to have this program again: ``tickdeck`` where it is on the path, else as it was called."""
    called = sys.argv[0]
    folder, name = Path(called).parts[-2:] if "/" in called else ("", called)
    if (folder, name) == ("tickdeck", "__main__.py"):
        return f"{sys.orig_argv[0]} -m tickdeck"
    found = shutil.which("tickdeck")
    if name != "tickdeck" or (found is not None and Path(found).resolve() == Path(called).resolve()):
        return "tickdeck"
    return called


def cut(line: str, width: int | None) -> str:
    """``line``, cut to ``width`` columns with an ellipsis where it is longer."""
    return line if width is None or len(line) <= width else line[: max(width - 1, 0)] + "…"
