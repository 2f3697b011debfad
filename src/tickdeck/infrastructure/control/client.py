"""The client of the control socket: sends a command to a run."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

import msgspec

from tickdeck.errors import RunError
from tickdeck.infrastructure.control.messages import Answer, Request, socket_path

__all__ = ["ask"]


def ask(folder: Path, request: Request, *, timeout: float = 10.0) -> Answer | None:
    """Send ``request`` to the run in ``folder`` and wait for its answer, at most ``timeout`` seconds. Returns ``None``
    if no process runs it.

    Raises ``RunError`` if the process does not answer. The command may still be carried out then.
    """
    path = socket_path(folder)
    if not request.who:
        request = msgspec.structs.replace(request, who=getpass.getuser())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            try:
                connection.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
        if not line.endswith(b"\n"):
            raise RunError(
                f"run {folder.name} ended before it answered; `tickdeck events {folder.name}` shows what it did"
                f"{_again(request)}"
            )
        return msgspec.json.decode(line, type=Answer)
    except TimeoutError:
        raise RunError(
            f"run {folder.name} did not answer within {timeout:g} s, but may still do what you asked: a handler "
            f"keeps it busy; SIGTERM to its process ends it within five seconds{_again(request)}"
        ) from None
    except OSError as error:
        raise RunError(f"{path}: cannot reach the run: {error.strerror or error}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: the answer cannot be read: {error}; another version of Tickdeck runs it") from None


def _again(request: Request) -> str:
    return f"; --id {request.id} sends the same command again, which is done once" if request.id else ""
