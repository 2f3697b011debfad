"""Errors of SQLite and of the operating system become one line with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tickdeck.infrastructure.tape.faults import tape_error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "the process has no memory left"),
        (OSError(), "OSError"),
        (ValueError("odd"), "odd"),
    ],
)
def test_an_error_without_a_text_has_a_reason_too(error: Exception, reason: str) -> None:
    assert str(tape_error(Path("tape.db"), "write the tape", error)) == f"tape.db: cannot write the tape: {reason}"
