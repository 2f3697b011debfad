"""In CI a skipped test is a failure, unless the machine cannot run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


SKIPS = {
    "call": "def test_it():\n    pytest.skip('by call')\n",
    "mark": "@pytest.mark.skip(reason='by mark')\ndef test_it(): ...\n",
    "condition": "@pytest.mark.skipif(True, reason='by condition')\ndef test_it(): ...\n",
    "module": "pytest.skip('by module', allow_module_level=True)\n",
    "library": "pytest.importorskip('no_such_module', reason='by library')\n",
}
FINE = {
    "forced": "def test_it():\n    pytest.skip('not on this machine: no F_FULLFSYNC')\n",
    "expected": "@pytest.mark.xfail\ndef test_it():\n    assert False\n",
}


def run(tmp_path: Path, files: dict[str, str], *, ci: bool) -> subprocess.CompletedProcess[str]:
    """Run pytest on some test files, with this repository's conftest and settings."""
    tests = tmp_path / "repository" / "tests"
    tests.mkdir(parents=True)
    shutil.copy2(ROOT / "tests/conftest.py", tests)
    shutil.copy2(ROOT / "pyproject.toml", tests.parent)
    for name, body in files.items():
        (tests / f"test_{name}.py").write_text(f"import pytest\n\n{body}")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE", "PYTEST"))}
    environment["CI"] = "true" if ci else ""
    command = [sys.executable, "-m", "pytest", "-q", "--continue-on-collection-errors"]
    return subprocess.run(
        command, cwd=tests.parent, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_ci_fails_on_every_kind_of_skip_and_says_why(tmp_path: Path) -> None:
    done = run(tmp_path, SKIPS, ci=True)
    assert done.returncode == 1, done.stdout
    for kind in SKIPS:
        assert f"skipped in CI: by {kind}" in done.stdout
    assert "1 failed, 4 errors in " in done.stdout  # skips before the call count as errors, and none is left over


def test_outside_ci_a_skip_is_a_skip(tmp_path: Path) -> None:
    done = run(tmp_path, SKIPS, ci=False)
    assert "5 skipped" in done.stdout
    assert "failed" not in done.stdout


def test_ci_accepts_unavoidable_skips_and_expected_failures(tmp_path: Path) -> None:
    done = run(tmp_path, FINE, ci=True)
    assert done.returncode == 0, done.stdout
    assert "1 skipped, 1 xfailed" in done.stdout


@pytest.mark.parametrize(("ci", "said"), [(True, "1 error"), (False, "1 skipped")])
def test_without_the_shared_folder_its_tests_fail_only_in_ci(tmp_path: Path, ci: bool, said: str) -> None:
    done = run(tmp_path, {"it": "def test_it(shared): ...\n"}, ci=ci)
    assert said in done.stdout
    assert "no folder 'shared' next to the repository" in done.stdout
