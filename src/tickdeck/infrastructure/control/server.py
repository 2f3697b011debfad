"""The run's side of the control socket."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from tickdeck.application.log import bound_logger
from tickdeck.errors import RunError, TickdeckError
from tickdeck.infrastructure.control.desk import CommandDesk, refused
from tickdeck.infrastructure.control.messages import COMMANDS, LONGEST, Answer, QueryAnswer, Request, socket_path

__all__ = ["ControlServer"]

_PATIENCE = 5.0  # seconds in which a client must have sent its request
_BACKLOG = 1_024  # clients that wait while the run is busy
_IDLE = 60.0  # seconds without a further request, after which the connection is closed


class ControlServer:
    """Accepts commands and queries for the run in ``folder`` while the ``async with`` block runs, in the event loop of
    its kernel.

    Only the user that owns the run can connect. ``desk`` carries out the commands. ``answer(name, arguments)`` answers
    a query; without it there are none. A client may send several requests, one after the other.

    Raises ``RunError`` if the socket cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        desk: CommandDesk,
        answer: Callable[[str, Mapping[str, str]], Awaitable[dict[str, Any]]] | None = None,
    ) -> None:
        self._path = socket_path(folder)
        self._desk = desk
        self._answer_query = answer
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ControlServer:
        try:
            self._server = await asyncio.start_unix_server(
                self._serve, sock=_listening(self._path), limit=LONGEST, backlog=_BACKLOG
            )
        except OSError as error:
            raise RunError(f"{self._path}: cannot listen for commands: {error.strerror or error}") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._serve_lines(reader, writer)
        except (ConnectionError, TimeoutError) as error:
            bound_logger("tickdeck.control").warning("a client disconnected before its answer", error=str(error))
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve_lines(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_PATIENCE):
            line = await _line(reader)
        while True:
            answer = await self._answer(line, writer)
            writer.write(msgspec.json.encode(answer) + b"\n")
            await writer.drain()
            try:
                async with asyncio.timeout(_IDLE):
                    line = await _line(reader)
            except TimeoutError:
                return
            if line == b"":
                return

    async def _answer(self, line: bytes | None, writer: asyncio.StreamWriter) -> Answer | QueryAnswer:
        if line is None:
            return refused(f"the request is longer than {LONGEST:,} bytes")
        try:
            request = msgspec.json.decode(line, type=Request)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return refused(f"the request cannot be read: {error}")
        try:
            if request.query and not request.command:
                if self._answer_query is None:
                    return refused("this run answers no queries")
                return QueryAnswer(accepted=True, answer=await self._answer_query(request.query, request.arguments))
            if request.query or not request.command:
                return refused("give either a command or a query")
            if request.command not in COMMANDS:
                return refused(f"there is no command {request.command!r}; give one of {', '.join(sorted(COMMANDS))}")
            return await self._desk.carry_out(request, _who(writer, request.who))
        except TickdeckError as error:
            return refused(str(error))


async def _line(reader: asyncio.StreamReader) -> bytes | None:
    """The next line, or what is left before the end; ``None`` for one that is too long."""
    too_long = False
    while True:
        try:
            line = await reader.readuntil()
        except asyncio.IncompleteReadError as error:
            line = error.partial
        except asyncio.LimitOverrunError as error:
            too_long = True
            await reader.readexactly(error.consumed)
            continue
        return None if too_long else line


def _listening(path: Path) -> socket.socket:
    """A socket at ``path`` that only the user can use. It replaces an old one, because this process has the run's
    tape. It appears there when it listens already: whoever connected before that would be refused, as by a dead run."""
    if not path.parent.is_dir():  # only the private folder for long paths
        path.parent.mkdir(mode=0o700)
    if path.parent.name == f"tickdeck-{os.getuid()}" and path.parent.stat().st_uid != os.getuid():
        raise OSError(0, f"{path.parent} belongs to another user")
    new = path.with_suffix(".new")  # not longer than the path, whose length is limited
    new.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        made.bind(str(new))
        made.listen(_BACKLOG)
        new.replace(path)
    except BaseException:
        made.close()
        raise
    finally:
        os.umask(umask)
    return made


def _who(writer: asyncio.StreamWriter, said: str) -> str:
    """The user of the client: from the operating system if it provides it, otherwise as the client says."""
    connection = writer.get_extra_info("socket")
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return said
    process, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, 12))
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return f"{name}, process {process}"
