"""Forges a JSON Lines tape: changes events and corrects all checksums."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from zlib import crc32

from tickdeck.infrastructure.tape.jsonl import commit_line
from tickdeck.infrastructure.tape.jsonl.lines import HEAD_AT, event_line, parse_commit


def with_fitting_commits(head: bytes, lines: Iterable[bytes]) -> bytes:
    """A segment with these lines after its head, and commits with correct checksums."""
    content, crc, offset = [head], crc32(head), len(head)
    begins = offset
    for line in lines:
        commit = parse_commit(line[:-1])
        if commit is not None:
            line = commit_line(commit._replace(offset=begins, so_far=crc), offset)
        content.append(line)
        crc, offset = crc32(line, crc), offset + len(line)
        if commit is not None:
            begins = offset
    return b"".join(content)


def forge_lines(tape: Path, change: Callable[[bytes], bytes]) -> int:
    """Replace each event line, without its checksum, by ``change(line)``, and correct all checksums. Returns the number
    of changed lines."""
    changed = 0
    for segment in sorted(tape.glob("*.jsonl")):
        head, *lines = segment.read_bytes().splitlines(keepends=True)
        for place, line in enumerate(lines):
            if parse_commit(line[:-1]) is None:
                body = line[HEAD_AT:-1]
                lines[place] = event_line(b"", b"{" + change(body))
                changed += lines[place] != line
        segment.write_bytes(with_fitting_commits(head, lines))
        segment.with_suffix(".index").unlink(missing_ok=True)  # it is rebuilt
    return changed
