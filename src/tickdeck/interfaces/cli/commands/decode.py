"""``tickdeck decode``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tickdeck.interfaces.cli.describing import describe_event
from tickdeck.interfaces.cli.exits import DONE, NO
from tickdeck.interfaces.cli.options import json_option
from tickdeck.interfaces.cli.output import cut, event_fields, note, print_lines

if TYPE_CHECKING:
    from tickdeck.infrastructure.exchanges.binance.documents import Document

__all__ = ["decode"]


@click.command()
@click.argument("exchange", type=click.Choice(["binance"]), metavar="EXCHANGE")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--symbol", default="", metavar="S", help="The symbol of REST bodies that do not name it.")
@json_option("One JSON object per event or result")
def decode(exchange: str, file: Path, symbol: str, as_json: bool) -> int:
    """Decode messages of an exchange, and show the events and results.

    EXCHANGE is binance. FILE contains stream messages, messages of the private stream or REST bodies: one JSON
    document, one document per line, or a raw capture (receive time in ns, a space, a document), plain, gzip or zip.
    Documents that cannot be read are counted, and the exit code is 1.

    \b
    Examples:
      tickdeck decode binance order.json
      tickdeck decode binance depth.json --symbol BTCUSDT --json
      tickdeck decode binance tickdeck-data/RUN/frames/000001.raw.gz
    """
    from tickdeck.errors import ProtocolError
    from tickdeck.infrastructure.exchanges.binance.documents import decode_document

    faults: list[str] = []
    width = None if as_json or not sys.stdout.isatty() else shutil.get_terminal_size().columns

    def lines() -> Iterator[str | bytes]:
        for number, received, data in _documents(file):
            try:
                found = decode_document(data, received=received, symbol=symbol)
            except ProtocolError as error:
                faults.append(f"line {number}: {error}")
                continue
            for document in found:
                yield msgspec.json.encode(_fields(document)) if as_json else cut(_words(document), width)

    print_lines(lines())
    for fault in faults[:10]:
        note(f"{file}, {fault}")
    if len(faults) > 10:
        note(f"{file}: {len(faults) - 10:,} more documents cannot be read")
    return NO if faults else DONE


def _documents(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Line number, receive time (ns; 1 if unknown) and JSON of each document."""
    from tickdeck.infrastructure.readers.files import open_binary

    with open_binary(path) as file:
        numbered = ((number, line) for number, line in enumerate(file, 1) if line.strip())
        first = next(numbered, None)
        if first is None:
            return
        if first[1].lstrip()[:1] in (b"{", b"[") and not _is_json(first[1]):
            yield first[0], 1, first[1] + b"".join(line for _, line in numbered)
            return
        yield from _lines(chain((first,), numbered))


def _lines(numbered: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, int, bytes]]:
    for number, line in numbered:
        stamp, _, message = line.strip().partition(b" ")
        if stamp.isdigit() and message:
            yield number, int(stamp), message
        else:
            yield number, 1, line.strip()


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _fields(document: Document) -> dict[str, Any]:
    from tickdeck.domain.events import DomainEvent
    from tickdeck.errors import ExchangeError

    if isinstance(document, DomainEvent):
        return event_fields(document)
    if isinstance(document, ExchangeError):
        fields = {"error": type(document).__name__, "code": document.code, "message": str(document)}
        return fields | ({"wait": document.wait} if hasattr(document, "wait") else {})
    fields = msgspec.to_builtins(document)
    return {"result": type(document).__name__, **fields}


def _words(document: Document) -> str:
    from tickdeck.application.bus import type_name
    from tickdeck.domain.events import DomainEvent
    from tickdeck.errors import ExchangeError

    if isinstance(document, DomainEvent):
        return f"{type_name(document):<22} {describe_event(document)}".rstrip()
    if isinstance(document, ExchangeError):
        return f"{type(document).__name__:<22} {document}"
    fields = msgspec.structs.asdict(document)
    return f"{type(document).__name__:<22} " + " ".join(f"{name}={value}" for name, value in fields.items() if value)
