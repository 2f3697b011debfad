"""Every run that a test of the gates makes is proven at the end of the test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gate_processes import LeftAlone

sys.path.insert(0, str(Path(__file__).resolve().parent))  # helpers of the gates, which their processes import too


@pytest.fixture
def meant_to_differ() -> set[Path]:
    """The folders of runs that the test has damaged on purpose. Add those that need not be identical."""
    return set()


@pytest.fixture(autouse=True)
def _every_run_is_proven(request: pytest.FixtureRequest) -> Iterator[None]:
    """``verify`` is identical for every run that the test leaves under its ``tmp_path``, whoever made it."""
    if "tmp_path" not in request.fixturenames:
        yield
        return
    tmp_path: Path = request.getfixturevalue("tmp_path")
    spoilt: set[Path] = request.getfixturevalue("meant_to_differ")
    yield
    if next(tmp_path.rglob("manifest.json"), None) is not None:
        from gate_runs import prove_all  # most tests of this folder do not need it

        prove_all(tmp_path, spoilt)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine an exchange on localhost answers late. A run in the process of a test has a minute for what it
    does at its start and at its end, so that it ends with what the exchange has."""
    if "tickdeck.bootstrap.live_trading" not in sys.modules:
        return  # the test has no such runs
    from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue

    monkeypatch.setattr("tickdeck.bootstrap.live_trading._AFTER_A_SIGNAL", 60.0)
    monkeypatch.setattr("tickdeck.bootstrap.live_trading._COMPARE", 60.0)
    monkeypatch.setattr("tickdeck.infrastructure.exchanges.exchange_venue._CATCH_UP", 60.0)
    monkeypatch.setattr(ExchangeVenue, "longest_doubt", 60.0)


@pytest.fixture
def venue_process(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an exchange in a process of its own. Its parameter, if there is one, are its faults."""
    from gate_processes import venue_process

    with venue_process(getattr(request, "param", "")) as url:
        yield url


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> LeftAlone:
    """The uninterrupted run ``SIMULATED``."""
    from gate_processes import left_alone
    from gate_runs import SIMULATED

    return left_alone(SIMULATED, tmp_path_factory.mktemp("data"))
