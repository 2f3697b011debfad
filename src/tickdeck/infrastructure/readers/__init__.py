"""Recorded market data from files: each format in one module, all opened by ``open_input`` and joined by ``merge``."""

from tickdeck.infrastructure.readers.files import DEFAULT_FEED_LATENCY_NS, file_digest
from tickdeck.infrastructure.readers.merge import merge
from tickdeck.infrastructure.readers.registry import (
    FORMATS,
    InputFile,
    detect_format,
    open_input,
    peek_symbols,
    peek_venues,
)

__all__ = [
    "DEFAULT_FEED_LATENCY_NS",
    "FORMATS",
    "InputFile",
    "detect_format",
    "file_digest",
    "merge",
    "open_input",
    "peek_symbols",
    "peek_venues",
]
