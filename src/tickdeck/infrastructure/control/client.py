"""The client of the control socket: sends a command or a query to a run."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tickdeck.errors import ConfigError, RunError
from tickdeck.infrastructure.control.messages import Answer, QueryAnswer, Request, socket_path

__all__ = ["ask", "query"]

_PAUSE = 0.02  # seconds between two attempts to connect
A = TypeVar("A", Answer, QueryAnswer)


def ask(folder: Path, request: Request, *, timeout: float = 10.0) -> Answer | None:
    """Send the command ``request`` to the run in ``folder`` and wait for its answer, at most ``timeout`` seconds.
    Returns ``None`` if no process runs it.

    Raises ``RunError`` if the process does not answer. The command may still be carried out then.
    """
    if not request.who:
        request = msgspec.structs.replace(request, who=getpass.getuser())
    return _exchange(folder, request, Answer, timeout)


def query(folder: Path, name: str, arguments: Mapping[str, str], *, timeout: float = 10.0) -> dict[str, Any] | None:
    """The answer of the run in ``folder`` to the query ``name``; ``None`` if no process runs it.

    Raises ``RunError`` if the process does not answer, and ``ConfigError`` if it refuses the query.
    """
    found = _exchange(folder, Request(query=name, arguments=dict(arguments)), QueryAnswer, timeout)
    if found is not None and not found.accepted:
        raise ConfigError("; ".join(found.problems))
    return None if found is None else found.answer


def _exchange(folder: Path, request: Request, kind: type[A], timeout: float) -> A | None:
    path = socket_path(folder)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            try:
                _connect(connection, str(path), timeout)
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError
        return msgspec.json.decode(line, type=kind)
    except TimeoutError:
        what = "did not answer within" if request.query else "may still do what you asked, but did not answer within"
        raise RunError(
            f"run {folder.name} {what} {timeout:g} s: a handler keeps it busy; SIGTERM to its process ends it within "
            f"five seconds{_again(request)}"
        ) from None
    except (ConnectionResetError, BrokenPipeError):
        raise RunError(
            f"run {folder.name} ended before it answered; `tickdeck events {folder.name}` shows what it did"
            f"{_again(request)}"
        ) from None
    except OSError as error:
        raise RunError(f"{path}: cannot reach the run: {error.strerror or error}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: the answer cannot be read: {error}; another version of Tickdeck runs it") from None


def _connect(connection: socket.socket, path: str, timeout: float) -> None:
    """Connect, and wait for a place if too many others wait for the run. Raises ``TimeoutError``."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.connect(path)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError from None
            time.sleep(_PAUSE)


def _again(request: Request) -> str:
    return f"; --id {request.id} sends the same command again, which is done once" if request.id else ""
