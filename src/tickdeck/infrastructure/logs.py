"""Structured logs: readable lines on a terminal, one JSON object per line elsewhere and in the run's folder.

Each line names the event that was being handled, so that you can look it up with ``tickdeck trace``. Secrets are
removed.
"""

from __future__ import annotations

import contextlib
import io
import logging
import logging.handlers
import os
import re
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

__all__ = ["LOG", "last_logged_seq", "log_to"]

LOG = "log.jsonl"
"""The log's name in a run's folder."""
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[36m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_FILE_BYTES, _OLD_FILES = 64 << 20, 5
"""When ``log.jsonl`` has so many bytes it becomes ``log.jsonl.1``, and that ``log.jsonl.2``; the last is removed."""
_LOOK_S = 1.0  # seconds between two looks whether the file is still in its place
_TAIL = 65_536  # bytes at the end of a log to search for its newest event
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
    people: bool | None = None,
    before: str = "",
    past: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Within the block, write the log records of Tickdeck and its strategies.

    - To ``stream`` from ``level`` upwards: readable lines on a terminal, otherwise JSON, unless ``people`` says which.
      ``before`` is written before each line, to erase a progress line. An exception is one line with its ``place``;
      with ``details``, its traceback follows.
    - To ``log.jsonl`` in ``folder`` from ``info`` upwards (or ``level`` if that is lower), with tracebacks. A long file
      becomes ``log.jsonl.1``, and so on; five old ones are kept.

    Each line has ``run`` and the id, correlation id and seq of the event that was being handled: ``current()``, or the
    event given to the running async handler. Nothing is looked up unless something is logged. Nothing is written while
    ``past()`` is true, because a resumed run executes its past again and logged it the first time.

    Raises ``ConfigError`` if the file cannot be opened. A line that cannot be written is lost, and the run continues.
    """
    log = logging.getLogger("tickdeck")
    threshold = logging.getLevelName(level.upper())

    def handler(target: logging.Handler, at: int, *, whole: bool, people: bool = False) -> logging.Handler:
        target.setLevel(at)
        target.addFilter(lambda record: not past())
        target.setFormatter(_Lines(run, current, place, tracebacks=whole, people=people))
        return target

    readable = stream.isatty() if people is None else people
    handlers = [handler(_Stream(stream, before if stream.isatty() else ""), threshold, whole=details, people=readable)]
    if folder is not None:
        try:
            file = _File(folder / LOG, maxBytes=_FILE_BYTES, backupCount=_OLD_FILES, encoding="utf-8")
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
            with contextlib.suppress(OSError):  # a full disk would refuse the rest again
                target.close()


def last_logged_seq(folder: Path) -> int:
    """The ``seq`` of the newest event mentioned in ``log.jsonl`` in ``folder``, or in the file before it; 0 if there is
    none. A run that was killed may have logged events that its tape lost."""
    return _last_seq(folder / LOG) or _last_seq(folder / f"{LOG}.1")


def _last_seq(log: Path) -> int:
    try:
        with log.open("rb") as file:
            file.seek(max(file.seek(0, io.SEEK_END) - _TAIL, 0))
            lines = file.read().splitlines()
    except OSError:
        return 0
    for line in reversed(lines):
        with contextlib.suppress(msgspec.MsgspecError):  # the first line of this part is incomplete, the last may be
            seq = msgspec.json.decode(line, type=_Line).seq
            if seq:
                return seq
    return 0


class _Line(msgspec.Struct):
    seq: int = 0


class _Stream(logging.StreamHandler[TextIO]):
    """Flushes each line. A line that cannot be written is lost, because there is no other place to report it."""

    def __init__(self, stream: TextIO, before: str) -> None:
        super().__init__(stream)
        self._before = before

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return self._before + (text if self.stream.isatty() else _COLOUR.sub("", text))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        del record


class _File(logging.handlers.RotatingFileHandler):
    """The same for a file. A full disk is reported by the tape, which cannot work without it. If somebody moves the
    file away or removes it, a new one takes its place within a second."""

    _formatted: tuple[logging.LogRecord, str] | None = None
    _looked = 0.0

    def format(self, record: logging.LogRecord) -> str:
        """The line, made once: the base class asks for it twice, to see whether it still fits into the file."""
        if self._formatted is None or self._formatted[0] is not record:
            self._formatted = record, super().format(record)
        return self._formatted[1]

    def emit(self, record: logging.LogRecord) -> None:
        if not 0 <= record.created - self._looked < _LOOK_S:  # the clock may have been set back
            self._looked = record.created
            self._take_its_place()
        super().emit(record)
        self._formatted = None  # a record may hold an exception with all its frames

    def _take_its_place(self) -> None:
        """Open the file again if it is not in its place any more. If that fails, as in a folder that was moved, the old
        one is used on."""
        with contextlib.suppress(OSError):
            if self.stream is not None and not _is_at(self.baseFilename, self.stream):
                moved, self.stream = self.stream, self._open()
                moved.close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        del record


def _is_at(path: str, file: TextIO) -> bool:
    try:
        return os.path.samestat(Path(path).stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


class _Lines(logging.Formatter):
    """Turns records into lines with structlog's processors."""

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
        """The fixed fields first, then the record's own, which cannot override them."""
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
    kept = {name: value for name, value in fields.items() if name.startswith("_")}  # structlog's own, removed later
    clean: dict[str, Any] = redacted({name: value for name, value in fields.items() if name not in kept})
    return clean | kept


def _as_json(logger: object, method: str, fields: _Fields) -> str:
    return msgspec.json.encode(fields).decode()


def _for_people(logger: object, method: str, fields: _Fields) -> str:
    """Returns ``23:54:13.250 error message error=... event=1714-1``, followed by a traceback if there is one."""
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
    """Escape a text from elsewhere, so that it cannot look like two lines or control the terminal."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
