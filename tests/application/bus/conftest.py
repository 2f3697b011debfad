"""Both buses for tests of what they have in common."""

from __future__ import annotations

import pytest
from application_kit import MemoryTape

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.kernel import Kernel


@pytest.fixture(params=["plain", "kernel"])
def bus(request: pytest.FixtureRequest) -> InMemoryEventBus:
    return InMemoryEventBus() if request.param == "plain" else Kernel(tape=MemoryTape())
