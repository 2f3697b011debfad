"""A disk that loses power: replays a process's traced system calls and shows what the disk may hold at any instant.

``parse`` turns the output of ``strace -f -y -xx`` into steps in the order in which they took effect; a ``Disk`` takes
these one by one, and ``write_out`` makes the folder as a power cut at that instant could leave it. What was not synced
may be lost, kept, or kept in part, sector by sector, in any order. A file's name is on the disk when its folder
was synced (or, by luck, earlier); a folder within the folder is like a file of names. Memory maps of ``-shm`` files are
not seen, and their content is made up: SQLite promises to do without.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

CALLS = (
    "openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync_file_range,ftruncate,truncate,"
    "fallocate,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,link,linkat,copy_file_range,sendfile"
)
STRACE = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-e", "signal=none"]
SECTOR = 512
Luck = Literal["lost", "kept", "random"]


@dataclass(frozen=True)
class Step:
    """One effect. ``call`` is ``open``, ``mkdir``, ``write``, ``append``, ``truncate``, ``rename``, ``unlink``,
    ``sync started``, ``synced``, or what the writer acknowledged: ``ack`` an event, ``snap`` a snapshot. ``append`` is
    a ``write`` where the file ended: who writes files in the folder without an offset only adds to them.

    Of a write that takes time the beginning counts, of a sync the end, of an acknowledgement the beginning: each at the
    moment that makes it harder for the writer to keep its word.
    """

    call: str
    path: str = ""
    offset: int = 0
    data: bytes = b""
    """What is written; of a sync the call's name, since SQLite may be built for either; of a renaming the old path."""
    number: int = 0
    """Of a truncation the new size, of a sync the thread, of an acknowledgement its seq or the snapshot's version."""


_LINE = re.compile(r"(?P<pid>\d+) +(?P<rest>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(?P<rest>.*)")
_HEX = re.compile(r"(?:\\x[0-9a-f]{2})*")
_FILE = re.compile(r"(?P<fd>\d+|AT_FDCWD)<(?P<path>[^>]*)>")
_COPIED = re.compile(r"\d+<(?P<out>[^>]*)>, \d+<(?P<source>[^>]*)>, (?:\[(?P<offset>\d+)\]|NULL)")
_PATHS = re.compile(r'"([^"]*)"')
_STRING = re.compile(r'"(?P<hex>[^"]*)"')


def _unhex(text: str) -> bytes:
    assert _HEX.fullmatch(text), f"not printed in full: {text[:40]}"
    return bytes.fromhex(text.replace("\\x", ""))


def parse(trace: Iterable[str], folder: Path) -> Iterator[Step]:
    """The steps that concern files in ``folder``, and the acknowledgements that were written to the standard output.

    Raises ``NotImplementedError`` for a call on such a file that the disk does not know.
    """
    unfinished: dict[str, str] = {}
    here = str(folder)
    for line in trace:
        match = _LINE.match(line)
        if match is None:
            continue
        pid, rest = match["pid"], match["rest"]
        resumed = _RESUMED.match(rest)
        if resumed:
            begun = unfinished.pop(pid)
            yield from _end(begun + resumed["rest"], pid, here)
        elif rest.endswith("<unfinished ...>"):
            begun = rest.removesuffix("<unfinished ...>")
            yield from _begin(begun, pid, here)
            unfinished[pid] = begun
        elif _CALL.match(rest):
            yield from _begin(rest, pid, here)
            yield from _end(rest, pid, here)


def _file(text: str) -> str:
    """The path of the file that a call is about; empty if it is none, such as a socket."""
    match = _FILE.match(text)
    path = match["path"].removesuffix("(deleted)") if match else ""
    return _unhex(path).decode() if _HEX.fullmatch(path) else ""


def _inside(path: str, here: str) -> bool:
    return path == here or path.startswith(here + "/")


def _begin(text: str, pid: str, here: str) -> Iterator[Step]:
    match = _CALL.match(text)
    assert match is not None
    name, arguments = match["name"], match["arguments"]
    path = _file(arguments)
    if name == "write" and arguments.startswith("1<"):
        data = _STRING.search(arguments)
        assert data is not None
        for call, word in re.findall(rb"(ACK|SNAP) (\d+)\n", _unhex(data["hex"])):
            yield Step(call.decode().lower(), number=int(word))
    elif name == "write" and _inside(path, here):
        data = _STRING.search(arguments)
        assert data is not None
        yield Step("append", path, data=_unhex(data["hex"]))
    elif name in ("fsync", "fdatasync") and _inside(path, here):
        yield Step("sync started", path, number=int(pid))
    elif name == "pwrite64" and _inside(path, here):
        data = _STRING.search(arguments)
        assert data is not None
        content = _unhex(data["hex"])
        offset = int(re.split(r"[,)]", arguments[data.end() :])[2])
        yield Step("write", path, offset=offset, data=content)
    elif name == "ftruncate" and _inside(path, here):
        yield Step("truncate", path, number=int(re.split(r"[,)]", arguments[arguments.index(">") :])[1]))
    elif name in ("unlink", "unlinkat"):
        string = _STRING.search(arguments)
        assert string is not None
        path = _unhex(string["hex"]).decode()
        if _inside(path, here):
            yield Step("unlink", path)
    elif name in ("rename", "mkdir"):
        path, *new = (_unhex(string).decode() for string in _PATHS.findall(arguments))
        if _inside(path, here):
            yield Step("rename", new[0], data=path.encode()) if new else Step("mkdir", path)
    elif name not in ("openat", "open", "creat", "fsync", "fdatasync", "pwrite64", "ftruncate", "sendfile"):
        strings = [_unhex(string).decode(errors="replace") for string in _PATHS.findall(arguments)]
        if _inside(path, here) or (name.startswith(("rename", "link", "truncate")) and here in "".join(strings)):
            raise NotImplementedError(f"{name} on the tape's files is not modelled: {arguments[:200]}")


def _end(text: str, pid: str, here: str) -> Iterator[Step]:
    match = _CALL.match(text)
    assert match is not None
    name = match["name"]
    result = text.rpartition(" = ")[2]
    if name in ("fsync", "fdatasync"):
        path = _file(match["arguments"])
        if _inside(path, here) and result.startswith("0"):
            yield Step("synced", path, number=int(pid), data=name.encode())
    elif name == "sendfile":
        yield from _copied(match["arguments"], int(result.split()[0]), here)
    elif name == "openat":
        path = _file(result)
        if _inside(path, here) and "O_CREAT" in text:
            yield Step("open", path)
            if "O_TRUNC" in text:
                yield Step("truncate", path)


def _copied(arguments: str, count: int, here: str) -> Iterator[Step]:
    """A copy within the kernel. Its source, such as a strategy's file, may have grown since."""
    match = _COPIED.match(arguments)
    assert match is not None
    out, source = (_unhex(match[name]).decode() for name in ("out", "source"))
    if _inside(out, here) and count > 0:
        first = int(match["offset"] or 0)
        yield Step("append", out, data=Path(source).read_bytes()[first : first + count])


@dataclass(eq=False)
class _Inode:
    is_folder: bool = False
    size: int = 0  # as the processes see it
    synced: bytearray = field(default_factory=bytearray)
    pending: list[Step] = field(default_factory=list)


_Change = dict[str, _Inode | None]
"""Names that change at once."""


class Disk:
    """The files of one folder, as the processes see them and as the platter may have them."""

    def __init__(self, folder: Path, *, holding: bool = False) -> None:
        """``holding``: begin with what the folder holds now, instead of nothing."""
        self._folder = str(folder)
        self._names: dict[str, _Inode] = {}
        if holding:
            for path in sorted(folder.rglob("*")):
                if path.is_dir():
                    self._names[str(path)] = _Inode(is_folder=True)
                elif path.is_file():
                    content = bytearray(path.read_bytes())
                    self._names[str(path)] = _Inode(synced=content, size=len(content))
        self._synced_names: dict[str, _Inode] = dict(self._names)
        self._pending_names: list[_Change] = []
        self._syncs: dict[int, int] = {}  # thread -> how much its sync covers

    def apply(self, step: Step) -> None:
        if step.call in ("open", "mkdir"):
            if step.path not in self._names:
                self._link({step.path: _Inode(is_folder=step.call == "mkdir")})
        elif step.call in ("write", "append", "truncate"):
            inode = self._names[step.path]
            if step.call == "append":
                step = replace(step, call="write", offset=inode.size)
            inode.size = step.number if step.call == "truncate" else max(inode.size, step.offset + len(step.data))
            inode.pending.append(step)
        elif step.call == "rename":
            old = step.data.decode()
            moved = self._names.get(old)
            if moved is None:
                return  # a socket: nobody opened it, and it holds nothing
            self._link({old: None, step.path: moved})
            if moved.is_folder:
                self._move_content(old, step.path)
        elif step.call == "unlink":
            self._link({step.path: None})
        elif step.call == "sync started":
            folder = self._is_folder(step.path)
            self._syncs[step.number] = len(self._pending_names if folder else self._names[step.path].pending)
        elif step.call == "synced":
            count = self._syncs.pop(step.number)
            if self._is_folder(step.path):
                covered = [change for change in self._pending_names[:count] if _folder_of(change) == step.path]
                _apply_names(self._synced_names, covered)
                rest = [change for change in self._pending_names[:count] if _folder_of(change) != step.path]
                self._pending_names[:count] = rest
            else:
                inode = self._names[step.path]
                for done in inode.pending[:count]:
                    _apply_content(inode.synced, done, None)
                del inode.pending[:count]

    def _is_folder(self, path: str) -> bool:
        return path == self._folder or (path in self._names and self._names[path].is_folder)

    def _move_content(self, old: str, new: str) -> None:
        """What is in a folder goes with it: on the platter under whichever of its names is there."""

        def moved(names: dict[str, Any]) -> dict[str, Any]:
            return {new + path[len(old) :]: names[path] for path in list(names) if path.startswith(f"{old}/")}

        now = moved(self._names)
        self._names = {path: inode for path, inode in self._names.items() if not path.startswith(f"{old}/")} | now
        self._synced_names |= moved(self._synced_names)
        self._pending_names += [change for change in map(moved, list(self._pending_names)) if change]

    def _link(self, change: _Change) -> None:
        _apply_names(self._names, [change])
        self._pending_names.append(change)

    def unsynced(self, ignore: tuple[str, ...]) -> list[str]:
        """What would be lost without luck: paths with unsynced content or an unsynced name, but for these endings."""
        paths = [path for path, inode in self._names.items() if inode.pending]
        paths += [path for path, inode in self._names.items() if self._synced_names.get(path) is not inode]
        return [path for path in paths if not path.endswith(ignore)]

    def write_out(self, folder: Path, luck: Luck, rng: random.Random) -> None:
        """The folder after a power cut now."""
        names = dict(self._synced_names)
        pending = self._pending_names
        count = {"lost": 0, "kept": len(pending), "random": rng.randint(0, len(pending))}[luck]
        _apply_names(names, pending[:count])
        for path, inode in sorted(names.items()):
            place = folder / Path(path).relative_to(self._folder)
            if not place.parent.is_dir():
                continue  # its folder's own name is not on the disk
            if inode.is_folder:
                place.mkdir()
                continue
            content = bytearray(inode.synced)
            if path.endswith("-shm"):
                content = bytearray(rng.randbytes(len(content)))
            elif luck != "lost":
                for step in inode.pending:
                    _apply_content(content, step, None if luck == "kept" else rng)
            place.write_bytes(content)


def _folder_of(change: _Change) -> str:
    (folder,) = {str(Path(path).parent) for path in change}
    return folder


def _apply_names(names: dict[str, _Inode], changes: Iterable[_Change]) -> None:
    for change in changes:
        for path, inode in change.items():
            if inode is None:
                names.pop(path, None)
            else:
                names[path] = inode


def _apply_content(content: bytearray, step: Step, rng: random.Random | None) -> None:
    """Carry out a write or truncation; with ``rng`` each sector of it by the toss of a coin."""
    if step.call == "truncate":
        if rng is None or rng.random() < 0.5:
            del content[step.number :]
            content.extend(bytes(step.number - len(content)))
        return
    at, end = step.offset, step.offset + len(step.data)
    while at < end:
        upto = min(end, (at // SECTOR + 1) * SECTOR)
        if rng is None or rng.random() < 0.5:
            content.extend(bytes(max(0, at - len(content))))
            content[at:upto] = step.data[at - step.offset : upto - step.offset]
        at = upto
