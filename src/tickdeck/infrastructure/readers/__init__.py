"""Recorded market data from files: each format in one module, all opened by ``open_input`` and joined by ``merge``."""

from tickdeck.infrastructure.readers.columns import NoRowsError
from tickdeck.infrastructure.readers.contracts import in_base_currency
from tickdeck.infrastructure.readers.exchange_info import read_exchange_info
from tickdeck.infrastructure.readers.files import DEFAULT_FEED_LATENCY_NS, file_digest
from tickdeck.infrastructure.readers.merge import merge
from tickdeck.infrastructure.readers.notes import ReadNotes
from tickdeck.infrastructure.readers.registry import (
    FORMATS,
    InputFile,
    detect_format,
    names_symbols,
    open_input,
    peek_symbols,
    peek_venues,
)
from tickdeck.infrastructure.readers.times import a_day_from_now, date_to_ns, ns_to_date

__all__ = [
    "DEFAULT_FEED_LATENCY_NS",
    "FORMATS",
    "InputFile",
    "NoRowsError",
    "ReadNotes",
    "a_day_from_now",
    "date_to_ns",
    "detect_format",
    "file_digest",
    "in_base_currency",
    "merge",
    "names_symbols",
    "ns_to_date",
    "open_input",
    "peek_symbols",
    "peek_venues",
    "read_exchange_info",
]
