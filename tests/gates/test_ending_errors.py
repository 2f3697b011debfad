"""With which error, and so with which exit code, a run with real orders ends."""

from __future__ import annotations

import pytest

from tickdeck.bootstrap.ending import ending_error
from tickdeck.errors import AuthenticationFailed, InvalidSymbol, RunError, TapeError, TickdeckError, VenueUnavailable


@pytest.mark.parametrize(
    ("error", "kind", "text", "code"),
    [
        (AuthenticationFailed("binance: no such key"), TickdeckError, "binance: no such key", 3),
        (VenueUnavailable("binance: away"), TickdeckError, "binance: away", 3),
        (InvalidSymbol("binance: X is not listed"), RunError, "binance: X is not listed", 2),
        (RunError("no such run"), RunError, "no such run", 2),
        (TapeError("the disk is full"), TapeError, "the disk is full", 3),
        (ZeroDivisionError("by zero"), TickdeckError, "ZeroDivisionError: by zero", 3),
        (ValueError("two\nlines of <a at 0x7f0012345678>"), TickdeckError, "ValueError: two lines of <a at 0x...>", 3),
        (MemoryError(), TickdeckError, "the process has no memory left; give it more, then resume", 3),
    ],
)
def test_only_a_mistake_of_the_user_ends_a_run_so_that_a_supervisor_leaves_it_alone(
    error: Exception, kind: type[TickdeckError], text: str, code: int
) -> None:
    ended = ending_error(error, ["1 order is open"])

    assert type(ended) is kind
    assert str(ended) == f"{text}; 1 order is open"
    assert ended.exit_code == code
