"""The messages on a control socket, and the path of the socket."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["ARGUMENTS", "COMMANDS", "LONGEST", "Answer", "QueryAnswer", "Request", "socket_path"]

COMMANDS = frozenset(
    {
        "halt",
        "resume",
        "submit",
        "amend",
        "bracket",
        "protect",
        "unprotect",
        "flatten",
        "close",
        "cancel",
        "settle",
        "adopt",
        "resend",
        "strategy-create",
        "strategy-pause",
        "strategy-activate",
        "strategy-update",
        "strategy-delete",
        "trigger-create",
        "trigger-update",
        "trigger-delete",
    }
)
"""The commands that a run accepts from outside."""

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "resume": (),
    "cancel": ("order_id", "symbol"),
    "flatten": ("symbol",),
    "close": ("symbol",),
    "adopt": ("currency",),
}
"""What these commands may be given besides ``account``. They are about everything if they name nothing. A halt is
never refused."""

LONGEST = 1 << 20
"""Bytes of a request or an answer."""
_LONGEST_PATH = 100  # bytes; the operating system takes 104 to 108


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command for a run, or a query about it: exactly one of them. ``arguments`` are its own.

    Of a command, ``reason`` says why, and ``who`` is the user that sent it.

    ``id`` is the sender's: the same id means the same command, sent again because its answer was lost. It is carried
    out once, also if the run was killed and resumed in between. Leave it empty if a command is never sent twice.
    """

    command: str = ""
    query: str = ""
    id: str = ""
    arguments: dict[str, str] = {}
    reason: str = ""
    who: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a request. It is sent when the command and its effects are on disk.

    ``accepted`` is false if the run did not do what was asked; ``problems`` then say why. ``event_id`` and ``seq`` are
    those of ``command.received``; empty and 0 if the request was refused before that. ``events`` are the events that
    the command caused immediately, as ``to_dict`` returns them, without orders that follow later. ``repeated``: the
    command was carried out before, and this is the answer that it got then."""

    accepted: bool
    repeated: bool = False
    problems: tuple[str, ...] = ()
    event_id: str = ""
    seq: int = 0
    events: tuple[dict[str, Any], ...] = ()


class QueryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a query. It is in ``answer``, or, if ``accepted`` is false, ``problems`` say why there is none."""

    accepted: bool
    problems: tuple[str, ...] = ()
    answer: dict[str, Any] = {}


def socket_path(folder: Path) -> Path:
    """The path of the control socket of the run in ``folder``. A path that is too long for a socket is replaced by one
    in a private folder of the user under the system's temporary folder."""
    path = folder.resolve() / "control.sock"
    if len(str(path).encode()) <= _LONGEST_PATH:
        return path
    name = hashlib.sha256(str(path).encode()).hexdigest()[:24]
    return Path(tempfile.gettempdir()) / f"tickdeck-{os.getuid()}" / f"{name}.sock"
