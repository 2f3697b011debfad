"""How commands end: the exit codes, and errors in one line.

0: success. 1: the answer is no. 2: wrong arguments or configuration. 3: an error while running. 130 or 143: stopped by
Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import sysconfig
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import click

import tickdeck
from tickdeck.errors import ConfigError, Terminated, TickdeckError, TopicWarning
from tickdeck.interfaces.cli.output import mute, one_line, print_json

__all__ = [
    "DONE",
    "FAULT",
    "NO",
    "OTHER_CODE",
    "WRONG_CALL",
    "details_wanted",
    "exit_code",
    "origin",
    "require_stderr",
    "stdout_has_no_reader",
    "terminable",
    "wants_details",
]

DONE, NO, WRONG_CALL, FAULT, OTHER_CODE = range(5)
_INTERRUPTED = 130
_BAD_PATH = (
    *(errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ENOENT, errno.ELOOP),
    errno.EROFS,
)
_NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within the block, SIGINT, SIGTERM and SIGHUP raise ``Terminated``, so that unfinished files are removed. Signals
    that are ignored or already handled are left alone. A run handles signals itself (``stopping``)."""

    def end(number: int, frame: object) -> None:
        raise Terminated(number)

    before = []
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            handler = signal.getsignal(number)
            if handler in (signal.SIG_DFL, signal.default_int_handler):
                before.append((number, handler))
                signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def wants_details(words: Sequence[str]) -> bool:
    """True if ``--debug`` is anywhere in the arguments or ``TICKDECK_DEBUG`` is set."""
    return "--debug" in words or os.environ.get("TICKDECK_DEBUG", "0") not in ("", "0")


def details_wanted() -> bool:
    """The same, from within a command."""
    return bool(click.get_current_context().find_root().obj)


def exit_code(call: Callable[[], object], *, details: bool, as_json: bool = False) -> int:
    """Run the command and return its exit code; ``None`` means ``DONE``. An error becomes one line on stderr, after its
    traceback if ``details`` is true. With ``as_json``, stdout also gets ``{"error": ..., "exit_code": ...}``."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # replace characters that the terminal cannot show
    try:
        if _closed["stdout"]:
            raise TickdeckError("stdout is closed; redirect the output, for example to /dev/null")
        with _plain_warnings():
            code = call()
        _flush_stdout()
        return code if isinstance(code, int) else DONE
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except Terminated as signalled:
        return 128 + signalled.number
    except BaseException as error:  # noqa: BLE001 the last line of defence: users get one line, not a traceback
        if details:
            _write_if_possible("".join(traceback.format_exception(error)).rstrip())
        if _is_of_stdout(error):
            mute(sys.stdout)
        message, code = _describe(error, details)
        lines = error.mistakes if isinstance(error, ConfigError) and error.mistakes else (message,)
        lines = tuple(map(one_line, lines))
        for line in lines:
            _write_if_possible(f"tickdeck: error: {line}")
        if as_json:
            _print_error("; ".join(lines), code)
        return code


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Within the block, our warnings are one line on stderr like our errors, without the place in the code. Each is
    printed once, although a resume loads strategies more than once."""
    before, printed = warnings.showwarning, set[str]()

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, TopicWarning):
            line = one_line(str(message))
            if line not in printed:
                printed.add(line)
                _write_if_possible(f"tickdeck: warning: {line}")
        else:
            before(message, category, *place, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


_closed = {"stdout": False, "stderr": False}


def _open_closed_streams() -> None:
    """Replace a stream that was closed before the start (``2>&-``) with ``/dev/null``. Otherwise the next file to be
    opened, perhaps a tape, would get the stream's number and receive everything written to it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False))  # noqa: SIM115
            _closed[name] = True


def require_stderr() -> None:
    """Raises ``TickdeckError`` if stderr was closed before the start. A run reports its errors there."""
    if _closed["stderr"]:
        raise TickdeckError("stderr is closed; redirect the messages, for example with 2>/dev/null")


def _write_if_possible(text: str) -> None:
    """Write to stderr. If that fails too, the exit code alone reports the error."""
    try:
        click.echo(text, err=True)
    except OSError:
        mute(sys.stderr)


def _print_error(message: str, code: int) -> None:
    try:
        print_json({"error": message, "exit_code": code})
        sys.stdout.flush()
    except OSError:
        mute(sys.stdout)


def stdout_has_no_reader() -> bool:
    """True if stdout is a pipe whose reader has ended."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), select.POLLERR)
    except (OSError, ValueError):  # a stream of a test
        return False
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _flush_stdout() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        mute(sys.stdout)


def _is_of_stdout(error: BaseException) -> bool:
    """True if writing the output failed. Such an error names no file, unlike a file that cannot be opened."""
    return isinstance(error, OSError) and error.errno in _NO_PLACE and error.filename is None


def _describe(error: BaseException, details: bool) -> tuple[str, int]:
    if _is_of_stdout(error):
        return (
            f"cannot write the output: {os.strerror(cast(OSError, error).errno or 0)}; check where it is redirected to",
            FAULT,
        )
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx is not None else "tickdeck"
        message = " ".join(error.format_message().rstrip(".").split())
        return f"{message}; see `{command} --help`", WRONG_CALL
    if isinstance(error, click.ClickException):
        return error.format_message(), WRONG_CALL
    if isinstance(error, TickdeckError):
        return str(error), error.exit_code
    if isinstance(error, SystemExit):
        return f"a strategy or a library tried to exit the process: {error!r} ({origin(error)})", FAULT
    if isinstance(error, OSError) and error.filename is not None and error.errno in _BAD_PATH:
        return f"{error.filename}: {error.strerror}; name another file or folder", WRONG_CALL
    if isinstance(error, FileNotFoundError) and error.filename is None and not _has_folder():
        return "the current folder was deleted; change to another one", WRONG_CALL
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many files are open; raise the limit (`ulimit -n`)", FAULT
    if isinstance(error, ValueError) and str(error).startswith("embedded null"):
        return "a path contains a null character; name another file or folder", WRONG_CALL
    text = " ".join(str(error).split())
    more = "" if details else "; add --debug for details"
    return f"{type(error).__name__}: {text} ({origin(error)}){more}", FAULT


def _has_folder() -> bool:
    """Whether the process's current folder exists."""
    try:
        os.getcwd()  # noqa: PTH109 (Path.cwd() does more)
    except FileNotFoundError:
        return False
    return True


def origin(error: BaseException) -> str:
    """The file and line that raised ``error``: the innermost frame of the user's own code, if there is one."""
    frames = traceback.extract_tb(error.__traceback__)
    libraries = (tickdeck.__path__[0], *map(sysconfig.get_path, ("stdlib", "platlib", "purelib")))
    own = [frame for frame in frames if not frame.filename.startswith((*libraries, "<"))]
    last = own[-1] if own else frames[-1] if frames else None
    return f"{Path(last.filename).name}, line {last.lineno}" if last is not None else "nowhere"
