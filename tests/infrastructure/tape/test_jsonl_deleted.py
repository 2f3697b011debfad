"""A tape in JSON lines that is deleted while somebody looks at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tickdeck.infrastructure.tape.jsonl import is_jsonl_tape


def test_a_folder_that_is_deleted_between_two_looks_is_no_tape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda path: True)  # it was there a moment ago

    assert is_jsonl_tape(tmp_path / "tape") is False
