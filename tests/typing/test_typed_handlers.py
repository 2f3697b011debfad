"""Type checkers report a handler of the wrong class."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USES = Path(__file__).with_name("handlers.py")


def test_mypy_accepts_correct_uses_and_no_wrong_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = pytest.importorskip("mypy.api", reason="mypy is not installed")
    monkeypatch.chdir(ROOT)

    report, _, _ = api.run(["--cache-dir", str(tmp_path), "--no-error-summary", str(USES)])

    lines = USES.read_text("utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, start=1) if line.endswith("# wrong")}
    told = {int(line.split(":")[1]) for line in report.splitlines() if ": error:" in line}
    assert told == wrong, report
