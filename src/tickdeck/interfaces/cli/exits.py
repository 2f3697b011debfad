"""How a command ends: the exit codes, and errors in one line.

0: done. 1: the answer is no. 2: the call or the configuration is wrong. 3: a fault while running. 130 (143): stopped by
Ctrl-C (by SIGTERM).
"""

from __future__ import annotations

import errno
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import click

import tickdeck
from tickdeck.errors import TickdeckError

__all__ = ["DONE", "FAULT", "NO", "WRONG_CALL", "details_wanted", "exit_code", "mute_stdout", "origin", "wants_details"]

DONE, NO, WRONG_CALL, FAULT = range(4)
_INTERRUPTED = 130
_NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def wants_details(words: Sequence[str]) -> bool:
    """Tracebacks were asked for, by ``--debug`` anywhere in the call or by ``TICKDECK_DEBUG``."""
    return "--debug" in words or os.environ.get("TICKDECK_DEBUG", "0") not in ("", "0")


def details_wanted() -> bool:
    """The same, from within a command."""
    return bool(click.get_current_context().find_root().obj)


def exit_code(call: Callable[[], object], *, details: bool) -> int:
    """Make the call; what it returns is the exit code (``None``: done). Errors are told on stderr in one line, with
    their traceback before it where ``details`` are wanted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without the characters shows others
    try:
        if sys.stdout is None:
            raise TickdeckError("stdout is closed; give the output a place to go, such as >/dev/null")
        code = call()
        _flush_stdout()
        return code if isinstance(code, int) else DONE
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 the last line of defence: people get a line, not a traceback
        if details:
            traceback.print_exc()
        if _is_of_stdout(error):
            mute_stdout()
        message, code = _describe(error, details)
        click.echo("tickdeck: error: " + " ".join(message.split()), err=True)
        return code


def _flush_stdout() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has seen enough
        mute_stdout()


def _is_of_stdout(error: Exception) -> bool:
    """Output had no place to go: a failed write names no file, unlike a file that cannot be opened."""
    return isinstance(error, OSError) and error.errno in _NO_PLACE and error.filename is None


def _describe(error: Exception, details: bool) -> tuple[str, int]:
    if _is_of_stdout(error):
        return f"cannot write the output: {os.strerror(cast(OSError, error).errno or 0)}; look at where it goes", FAULT
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx is not None else "tickdeck"
        return f"{error.format_message().rstrip('.')}; `{command} --help` tells more", WRONG_CALL
    if isinstance(error, click.ClickException):
        return error.format_message(), WRONG_CALL
    if isinstance(error, TickdeckError):
        return str(error), error.exit_code
    more = "" if details else "; the same with --debug shows more"
    return f"{type(error).__name__}: {error} ({origin(error)}){more}", FAULT


def origin(error: BaseException) -> str:
    """Where an exception comes from, file and line: the innermost frame of the user's own code, if there is any."""
    frames = traceback.extract_tb(error.__traceback__)
    libraries = (tickdeck.__path__[0], *map(sysconfig.get_path, ("stdlib", "platlib", "purelib")))
    own = [frame for frame in frames if not frame.filename.startswith((*libraries, "<"))]
    last = own[-1] if own else frames[-1] if frames else None
    return f"{Path(last.filename).name}, line {last.lineno}" if last is not None else "nowhere"


def mute_stdout() -> None:
    """Have nothing more written to stdout, not even what still waits in its buffer."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
