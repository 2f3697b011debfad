"""Type checkers report a handler of the wrong class: mypy, and pyright where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USES = Path(__file__).with_name("handlers.py")


def test_mypy_accepts_correct_uses_and_no_wrong_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = pytest.importorskip("mypy.api", reason="mypy is not installed")
    monkeypatch.chdir(ROOT)

    report, _, _ = api.run(["--cache-dir", str(tmp_path), "--no-error-summary", str(USES)])

    told = {int(line.split(":")[1]) for line in report.splitlines() if ": error:" in line}
    assert told == wrong_lines(), report


@pytest.mark.long  # two seconds of a program of its own
def test_pyright_accepts_correct_uses_and_no_wrong_ones() -> None:
    pyright = shutil.which("pyright")
    if pyright is None:
        pytest.skip("not on this machine: pyright is not installed")

    checked = subprocess.run(
        [pyright, "--pythonpath", sys.executable, "--outputjson", str(USES.relative_to(ROOT))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    errors = [found for found in json.loads(checked.stdout)["generalDiagnostics"] if found["severity"] == "error"]
    assert {found["range"]["start"]["line"] + 1 for found in errors} == wrong_lines(), errors


def wrong_lines() -> set[int]:
    lines = USES.read_text("utf-8").splitlines()
    return {number for number, line in enumerate(lines, start=1) if line.endswith("# wrong")}
