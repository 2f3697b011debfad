"""The error with which a run with real orders ends."""

from __future__ import annotations

from collections.abc import Sequence

from tickdeck.application.bus import describe_error
from tickdeck.errors import InvalidSymbol, RunError, TapeError, TickdeckError

__all__ = ["ending_error"]


def ending_error(error: Exception, remarks: Sequence[str]) -> TickdeckError:
    """``error`` with the ``remarks`` of the run. Only a mistake of the user has the exit code 2, because a supervisor
    does not start the run again then."""
    if isinstance(error, MemoryError):
        text = "the process has no memory left; give it more, then resume"
    elif isinstance(error, TickdeckError):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {' '.join(describe_error(error).split())}"
    text = "; ".join((text, *remarks))
    if isinstance(error, TapeError):
        return type(error)(text)
    if isinstance(error, InvalidSymbol) or (isinstance(error, TickdeckError) and error.exit_code == RunError.exit_code):
        return RunError(text)
    return TickdeckError(text)
