"""Fixtures and settings of all tests: the shared material, Hypothesis profiles, and no skipped tests in CI."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
CI = os.environ.get("CI", "").lower() in ("1", "true")
CANNOT = "not on this machine:"
"""CI accepts a skip if its reason begins like this: no installation could make the test run on this machine."""

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("fast", max_examples=10, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if CI else "dev")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded market data and exchange captures, next to the repository."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        (pytest.fail if CI else pytest.skip)(
            "no folder 'shared' next to the repository: it holds the recorded sessions"
        )
    return folder


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not CI or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(CANNOT):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {reason}\n(install what is missing, or let the reason begin with '{CANNOT}')"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    _refuse_skip(report)
    return report
