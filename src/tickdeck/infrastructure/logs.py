"""Structured logs: a line for people on a terminal, one JSON object a line elsewhere and in the run's folder.

Each line says which event was being handled, so it can be looked up with ``tickdeck trace``. Secrets are taken out.
"""

from __future__ import annotations

import contextlib
import io
import logging
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import msgspec

from tickdeck.application.bus import handled_event
from tickdeck.application.redaction import redacted
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["LEVELS", "LOG", "last_logged_seq", "log_to"]

LOG = "log.jsonl"
"""The log's name in the folder of a run."""
LEVELS = ("debug", "info", "warning", "error")
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[36m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_TAIL = 65_536  # bytes of a log in which its newest event is looked for
_Fields = MutableMapping[str, Any]


@contextlib.contextmanager
def log_to(
    stream: TextIO,
    *,
    level: str = "warning",
    folder: Path | None = None,
    run: str = "",
    current: Callable[[], DomainEvent | None] = lambda: None,
    place: Callable[[BaseException], str] = lambda error: "",
    details: bool = False,
    before: str = "",
    past: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Within the block, write what Tickdeck and its strategies log.

    - To ``stream`` from ``level`` on: in words where it is a terminal, each line after ``before`` (which takes away a
      line that is written over), else as JSON. A fault is told in one line, with ``place`` of its exception; with its
      traceback where ``details`` are wanted.
    - To ``log.jsonl`` in ``folder`` from ``info`` on (from ``level`` on, where that is lower), with tracebacks.

    ``run`` is on each line, and so are id, correlation id and seq of the event that was being handled: ``current()``,
    or the one that the running edge was given. Nothing is read unless something is logged. Nothing is written while
    ``past()`` is true: a resumed run executes its past again, and has logged it before.

    Raises ``ConfigError`` where the file cannot be opened. A line that cannot be written is lost, and the run goes on.
    """
    log = logging.getLogger("tickdeck")
    threshold = logging.getLevelName(level.upper())

    def handler(target: logging.Handler, at: int, *, whole: bool, people: bool = False) -> logging.Handler:
        target.setLevel(at)
        target.addFilter(lambda record: not past())
        target.setFormatter(_Lines(run, current, place, tracebacks=whole, people=people))
        return target

    handlers = [
        handler(_Stream(stream, before if stream.isatty() else ""), threshold, whole=details, people=stream.isatty())
    ]
    if folder is not None:
        try:
            file = _File(folder / LOG, mode="a", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{folder / LOG} cannot be written: {error.strerror}") from None
        handlers.append(handler(file, min(threshold, logging.INFO), whole=True))
    level_before = log.level
    log.setLevel(min(target.level for target in handlers))
    for target in handlers:
        log.addHandler(target)
    try:
        yield
    finally:
        log.setLevel(level_before)
        for target in handlers:
            log.removeHandler(target)
            with contextlib.suppress(OSError):  # a full disk refuses once more what it refused before
                target.close()


def last_logged_seq(folder: Path) -> int:
    """The ``seq`` of the newest event that ``log.jsonl`` in ``folder`` has a line of; 0 without any. A run that was
    killed may have logged events that its tape lost."""
    try:
        with (folder / LOG).open("rb") as file:
            file.seek(max(file.seek(0, io.SEEK_END) - _TAIL, 0))
            lines = file.read().splitlines()
    except OSError:
        return 0
    for line in reversed(lines):
        with contextlib.suppress(msgspec.MsgspecError):  # the first line of the tail is cut, the last may be
            seq = msgspec.json.decode(line, type=_Line).seq
            if seq:
                return seq
    return 0


class _Line(msgspec.Struct):
    seq: int = 0


class _Stream(logging.StreamHandler[TextIO]):
    """Flushes each line; one that cannot be written is lost: there is no place left to tell it."""

    def __init__(self, stream: TextIO, before: str) -> None:
        super().__init__(stream)
        self._before = before

    def format(self, record: logging.LogRecord) -> str:
        return self._before + super().format(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        del record


class _File(logging.FileHandler):
    """The same for a file: a full disk is told by the tape, which cannot do without."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        del record


class _Lines(logging.Formatter):
    """Records to lines, through structlog's processors."""

    def __init__(
        self,
        run: str,
        current: Callable[[], DomainEvent | None],
        place: Callable[[BaseException], str],
        *,
        tracebacks: bool,
        people: bool,
    ) -> None:
        from structlog.stdlib import ProcessorFormatter

        super().__init__()
        self._run = run
        self._current = current
        self._place = place
        self._tracebacks = tracebacks
        self._formatter = ProcessorFormatter(
            foreign_pre_chain=[self._describe, self._tie, self._fault, _redact],
            processors=[ProcessorFormatter.remove_processors_meta, _for_people if people else _as_json],
        )

    def format(self, record: logging.LogRecord) -> str:
        return self._formatter.format(record)

    def _describe(self, logger: object, method: str, fields: _Fields) -> _Fields:
        """The fixed fields first, then the line's own, which do not write over them."""
        record: logging.LogRecord = fields["_record"]
        message = fields.pop("event")
        described: _Fields = {
            "ts": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
        }
        if self._run:
            described["run"] = self._run
        for name, value in (*fields.items(), *getattr(record, "fields", {}).items()):
            described[f"{name}_" if name in described else name] = value
        return described

    def _tie(self, logger: object, method: str, fields: _Fields) -> _Fields:
        event = handled_event() or self._current()
        if event is not None:
            fields.update(event_id=event.event_id, correlation_id=event.correlation_id, seq=event.seq)
        return fields

    def _fault(self, logger: object, method: str, fields: _Fields) -> _Fields:
        info = fields.pop("exc_info", None)
        error = info[1] if isinstance(info, tuple) else info if isinstance(info, BaseException) else None
        fields.pop("stack_info", None)
        if error is not None:
            place = self._place(error)
            fields["error"] = f"{type(error).__name__}: {' '.join(str(error).split())}" + (
                f" ({place})" if place else ""
            )
            if self._tracebacks:
                out = io.StringIO()
                traceback.print_exception(error, file=out)
                fields["traceback"] = out.getvalue().rstrip()
        return fields


def _redact(logger: object, method: str, fields: _Fields) -> _Fields:
    kept = {name: value for name, value in fields.items() if name.startswith("_")}  # structlog's own, taken off later
    clean: dict[str, Any] = redacted({name: value for name, value in fields.items() if name not in kept})
    return clean | kept


def _as_json(logger: object, method: str, fields: _Fields) -> str:
    return msgspec.json.encode(fields).decode()


def _for_people(logger: object, method: str, fields: _Fields) -> str:
    """``23:54:13.250 error  message  error=... event=1714-1``; a traceback under it."""
    trace = fields.pop("traceback", "")
    level, message, error = fields.pop("level"), fields.pop("message"), fields.pop("error", "")
    time = str(fields.pop("ts"))[11:23]
    for name in ("logger", "run", "correlation_id"):
        fields.pop(name, None)
    event, seq = fields.pop("event_id", ""), fields.pop("seq", "")
    rest = " ".join(f"{name}={_value(value)}" for name, value in fields.items())
    line = f"{_DIM}{time}{_PLAIN} {_COLOURS.get(level, '')}{level:<7}{_PLAIN} {_one_line(str(message))}"
    line += f": {error}" if error else ""
    line += f"  {rest}" if rest else ""
    line += f"  {_DIM}event {event}, seq {seq}{_PLAIN}" if event else ""
    return f"{line}\n{trace}" if trace else line


def _value(value: Any) -> str:
    return _one_line(value) if isinstance(value, str) else msgspec.json.encode(value).decode()


def _one_line(text: str) -> str:
    """A line that somebody else put together must not look like two, nor work the terminal."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
