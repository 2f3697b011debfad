r"""The lines of a tape in JSON Lines: each is one JSON object in UTF-8 with the CRC-32 of itself.

An event line has the fields that the tape needs (``stream`` and ``stream_version`` if any), then its own fields::

    {"crc":"8973e19e","event_type":"order.accepted","version":1,"stream":"order/main/a","stream_version":1,"event_id":...}

A commit line follows the events of a group. ``offset`` is where the group begins in the file; everything before it was
synced. ``so_far`` is the CRC-32 of the whole segment up to this line, which reveals missing and duplicated lines. The
line begins with a tab, which appears nowhere else, so that it can be found quickly. A space follows the tab if the line
would otherwise end one byte past the edge of a sector: a change to a byte that is alone in its sector could look like a
sector lost in a power cut::

    \t{"commit":{"events":2,"first_seq":1,"last_seq":2,"first_ts":5,"last_ts":5,"offset":98,"so_far":"3d0a9cb1",...},"crc":"51a03fe0"}

In format 2, ``so_far`` is followed by the tape's digest up to and including this group: the four fields of a ``Mark``
(see ``tape.digest``)::

    "recorded":2,"block_seq":0,"block":"","digest":"5f1c..."

A segment begins with its head. ``through`` is greater than ``number`` if others were merged into it::

    {"segment":{"format":2,"number":2,"through":2,"after_seq":4711},"crc":"0b9d3fa2"}

The checksum of an event line covers what follows it, up to the end of the line. The checksum of other lines covers what
precedes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar
from zlib import crc32

import msgspec

from tickdeck.infrastructure.tape.digest import Mark

__all__ = [
    "COMMIT_LINE",
    "COMMIT_MARK",
    "FORMAT",
    "HEAD_AT",
    "HEAD_LINE",
    "SECTOR",
    "Commit",
    "SegmentHead",
    "add_checksum",
    "commit_line",
    "event_head_end",
    "event_line",
    "is_sound",
    "line_decoder",
    "parse_commit",
    "parse_event_head",
    "parse_head",
    "read_checked",
    "segment_line",
    "split_event",
    "streams_in",
    "types_in",
]

FORMAT = 2
"""The format of these lines. A reader refuses a higher number. A tape keeps the format in which it was started; format
1 has no digest."""
COMMIT_MARK = b"\t"
"""How a commit begins. In JSON, a tab within a string is written as ``\\t``, and we write none between tokens."""
COMMIT_LINE = 512
"""The longest possible commit line."""
HEAD_LINE = 160
"""No segment head is longer, and no head that is followed by a group is this short."""
SECTOR = 512
"""Bytes that a disk writes atomically."""
HEAD_AT = len(b'{"crc":"01234567",')
"""Where the checksummed part of an event line begins."""

_EVENT = re.compile(rb'\{"crc":"([0-9a-f]{8})",(.*\})', re.DOTALL)
_SEALED = re.compile(rb'((?:\t ?)?\{"(?:commit|segment|snapshot|index)":.*),"crc":"([0-9a-f]{8})"\}', re.DOTALL)
_COMMIT = re.compile(
    rb'\t ?\{"commit":\{"events":(\d+),"first_seq":(\d+),"last_seq":(\d+),"first_ts":(-?\d+),"last_ts":(-?\d+),'
    rb'"offset":(\d+),"so_far":"([0-9a-f]{8})"'
    rb'(?:,"recorded":(\d+),"block_seq":(\d+),"block":"((?:[0-9a-f]{64})?)","digest":"([0-9a-f]{64})")?'
    rb'\},"crc":"[0-9a-f]{8}"\}'
)
_STREAM = re.compile(rb'"stream":("(?:[^"\\]|\\.)*"),"stream_version":(\d+),')
_STREAM_LINE = re.compile(
    rb'^\{"crc":"[0-9a-f]{8}","event_type":"(?:[^"\\]|\\.)*","version":\d+,' + _STREAM.pattern, re.MULTILINE
)
_TYPE = re.compile(rb'^\{"crc":"[0-9a-f]{8}","event_type":("(?:[^"\\]|\\.)*"),', re.MULTILINE)
_STREAM_MARK = b',"stream":"'
_STREAM_FIELD = b'"stream":"'
_VERSION_FIELD = b'","stream_version":'  # appears in no string: there, a backslash precedes each quote
_S = ord("s")

T = TypeVar("T")


class Commit(NamedTuple):
    """A commit's description of its group, which begins at byte ``offset`` of the file. The times are the lowest and
    the highest ``ts_ingress`` in the group. ``mark``: the tape's digest up to here, ``None`` in format 1."""

    events: int
    first_seq: int
    last_seq: int
    first_ts: int
    last_ts: int
    offset: int
    so_far: int
    mark: Mark | None = None


class SegmentHead(msgspec.Struct, frozen=True):
    """``after_seq``: ``seq`` of the last event before the segment, 0 for the first one."""

    number: int
    through: int
    after_seq: int
    format: int = FORMAT


class _Line(msgspec.Struct):
    segment: SegmentHead


class _EventHead(msgspec.Struct):
    event_type: str
    version: int


_decode_head = msgspec.json.Decoder(_Line).decode
_decode_event_head = msgspec.json.Decoder(_EventHead).decode


# -- writing ------------------------------------------------------------------------------------------------------


def event_line(head: bytes, payload: bytes) -> bytes:
    """Returns a line with its end. ``payload`` is a JSON object that is not empty."""
    body = head + payload[1:]
    return b'{"crc":"%08x",%b\n' % (crc32(body), body)


def add_checksum(body: bytes) -> bytes:
    """Complete the line of a JSON object without its closing brace: adds the checksum, the brace and the line end."""
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


def commit_line(commit: Commit, at: int) -> bytes:
    """``at``: the line's offset in the file."""
    body = (
        b'{"commit":{"events":%d,"first_seq":%d,"last_seq":%d,"first_ts":%d,"last_ts":%d,"offset":%d,"so_far":"%08x"'
        % commit[:7]
    )
    if commit.mark is not None:
        recorded, block_seq, block, digest = commit.mark
        body += b',"recorded":%d,"block_seq":%d,"block":"%b","digest":"%b"' % (
            recorded, block_seq, block.encode(), digest.encode(),
        )  # fmt: skip
    body += b"}"
    line = add_checksum(COMMIT_MARK + body)
    if (at + len(line)) % SECTOR in (1, SECTOR - 1):
        line = add_checksum(COMMIT_MARK + b" " + body)
    return line


def segment_line(head: SegmentHead) -> bytes:
    return add_checksum(
        b'{"segment":{"format":%d,"number":%d,"through":%d,"after_seq":%d}'
        % (head.format, head.number, head.through, head.after_seq)
    )


# -- reading ------------------------------------------------------------------------------------------------------


def read_checked(line: bytes) -> bytes | None:
    """The argument of ``add_checksum``, or ``None`` if ``line`` (without its end) was changed."""
    match = _SEALED.fullmatch(line)
    if match is None or crc32(match[1]) != int(match[2], 16):
        return None
    return match[1]


def is_sound(line: bytes) -> bool:
    """True if a line, without its end, is unchanged."""
    match = _EVENT.fullmatch(line)
    return crc32(match[2]) == int(match[1], 16) if match is not None else read_checked(line) is not None


def parse_commit(line: bytes) -> Commit | None:
    """Parses a commit line without its end; ``None`` if it is not one or was changed."""
    match = _COMMIT.fullmatch(line)
    if match is None or read_checked(line) is None:
        return None
    *numbers, so_far, recorded, block_seq, block, digest = match.groups()
    mark = None if digest is None else Mark(int(recorded), int(block_seq), block.decode(), digest.decode())
    return Commit._make([*map(int, numbers), int(so_far, 16), mark])


def parse_head(line: bytes) -> SegmentHead | None:
    """Parses the first line of a segment without its end; ``None`` if it is not one or was changed."""
    if read_checked(line) is None:
        return None
    try:
        return _decode_head(line).segment
    except msgspec.MsgspecError:
        return None


def split_event(line: bytes) -> tuple[str | None, int | None, bytes, bytes]:
    """The parts of a valid event line: its stream and version, the head that depends on its type, the payload."""
    stream = version = None
    end = at = event_head_end(line)
    match = _STREAM.match(line, end)  # no payload begins like this: its first field is part of the envelope
    if match is not None:
        stream, version, at = msgspec.json.decode(match[1], type=str), int(match[2]), match.end()
    return stream, version, line[HEAD_AT:end], b"{" + line[at:]


def line_decoder(decode: Callable[[bytes], T], end: int) -> Callable[[bytes], T]:
    """``decode`` for the payloads of event lines whose head, which depends on their type, ends at ``end``."""

    def decode_line(line: bytes) -> T:
        at = end
        # The first field is ``stream`` or part of the envelope. Comparing a byte costs a third of ``startswith``.
        if line[at + 1] == _S and line.startswith(_STREAM_FIELD, at):
            at = line.index(b",", line.index(_VERSION_FIELD, at) + len(_VERSION_FIELD)) + 1
        return decode(b"{" + line[at:])

    return decode_line


def event_head_end(line: bytes) -> int:
    """The index in an event line where the head that depends on its type ends."""
    # No string contains this text: a quote within a string has a backslash before it.
    return line.index(b",", line.index(b'","version":', HEAD_AT) + 12) + 1


def parse_event_head(head: bytes) -> tuple[str, int]:
    """Type and version from the result of ``event_head``. Raises ``msgspec.MsgspecError``."""
    found = _decode_event_head(b"{%b}" % head[:-1])
    return found.event_type, found.version


def streams_in(lines: bytes) -> dict[str, int]:
    """The last version of each stream in these event lines."""
    if _STREAM_MARK not in lines:
        return {}
    return {msgspec.json.decode(stream, type=str): int(version) for stream, version in _STREAM_LINE.findall(lines)}


def types_in(lines: bytes) -> list[str]:
    """The types of these event lines, sorted."""
    return sorted(msgspec.json.decode(name, type=str) for name in set(_TYPE.findall(lines)))
