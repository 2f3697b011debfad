"""Output of commands: JSON for scripts, lines and tables for people."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

    from tickdeck.domain.events import DomainEvent

__all__ = [
    "console",
    "cut",
    "event_fields",
    "folded",
    "mute",
    "note",
    "note_if_possible",
    "one_line",
    "print_json",
    "print_lines",
    "program",
    "terminal_width",
]

_HEAD = ("seq", "event_id", "event_type", "ts", "aggregate_id", "correlation_id", "causation_id")


def event_fields(event: DomainEvent) -> dict[str, Any]:
    """The JSON form of an event: the documented keys first, then the rest of the envelope, then its own fields."""
    fields: dict[str, Any] = event.to_dict()
    return {name: fields[name] for name in _HEAD} | fields


def print_json(value: object) -> None:
    """Print one JSON document as one line on stdout."""
    click.echo(msgspec.json.encode(value))


def print_lines(lines: Iterable[str | bytes], *, at_once: bool = False) -> None:
    """Print lines on stdout, many per write; with ``at_once``, each immediately."""
    out = sys.stdout.buffer
    for line in lines:
        out.write((line.encode(errors="replace") if isinstance(line, str) else line) + b"\n")
        if at_once:
            out.flush()
    out.flush()


def one_line(text: str) -> str:
    """``text`` with non-printable characters escaped: a file name may contain a line break or terminal codes, which
    must not look like a second message or control the terminal."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def note(text: str) -> None:
    """Write a line for the user to stderr. Raises ``OSError`` if stderr cannot be written."""
    click.echo(f"tickdeck: {one_line(text)}", err=True)


def note_if_possible(text: str) -> bool:
    """Like ``note``, for the end of a job that must not fail if stderr has no reader. Returns whether the line was
    written; if not, later lines are dropped without an error at the end of the process."""
    try:
        note(text)
    except OSError as error:
        mute(sys.stderr)
        return error.errno == errno.EPIPE  # the reader has seen enough, as with a pipe to `head`
    return True


def mute(stream: TextIO) -> None:
    """Write nothing more to ``stream``, not even what is still in its buffer."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def console() -> Console:
    """Stdout for tables: styled on a terminal, otherwise plain text that is 100 columns wide."""
    from rich.console import Console

    class Pipe(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # handled like any command's broken pipe; rich would exit with 1

    terminal = sys.stdout.isatty()
    file = None if terminal else cast(TextIO, _WithoutTrailingSpaces(sys.stdout))
    return Pipe(file=file, width=None if terminal else 100, highlight=False, emoji=False, markup=False)


class _WithoutTrailingSpaces:
    """Passes text on to ``stream``, without the spaces with which tables fill their lines up."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(re.sub(r" +$", "", text, flags=re.MULTILINE))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def program() -> str:
    """The command that starts this program: ``tickdeck`` if it is on the path, otherwise as it was called."""
    called = sys.argv[0]
    folder, name = Path(called).parts[-2:] if "/" in called else ("", called)
    if (folder, name) == ("tickdeck", "__main__.py"):
        return f"{sys.orig_argv[0]} -m tickdeck"
    found = shutil.which("tickdeck")
    if name != "tickdeck" or (found is not None and Path(found).resolve() == Path(called).resolve()):
        return "tickdeck"
    return called


def cut(line: str, width: int | None) -> str:
    """``line``, cut to ``width`` columns with an ellipsis if it is longer."""
    return line if width is None or len(line) <= width else line[: max(width - 1, 0)] + "…"


def terminal_width() -> int | None:
    """The columns of the terminal, or ``None`` if stdout is none: what goes to a file is not folded."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def folded(cells: Sequence[str], width: int | None) -> list[str]:
    """The aligned ``cells`` of a row, two spaces apart. What does not fit into ``width`` columns goes into lines below
    it, which begin with two spaces: cell by cell, and the words of the last cell, which may be text. There are at least
    two cells."""
    whole = "  ".join(cells).rstrip()
    if width is None or len(whole) <= width:
        return [whole]
    lines = [cells[0]]
    for cell in cells[1:-1]:
        if len(lines[-1]) + 2 + len(cell) <= width:
            lines[-1] += f"  {cell}"
        else:
            lines.append(f"  {cell}")
    for place, word in enumerate(cells[-1].split()):
        space = " " if place else "  "
        if len(lines[-1]) + len(space) + len(word) <= width:
            lines[-1] += space + word
        else:
            lines.append(f"  {word}")
    return [line.rstrip() for line in lines]
