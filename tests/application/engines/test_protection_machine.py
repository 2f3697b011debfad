"""Protected positions under any order of fills, cancels, prices and orders of the strategies."""

from __future__ import annotations

import pytest
from hypothesis import settings
from protection_machine import Protected

from tickdeck.domain.values import Side


class WithoutPairs(Protected):
    venue_number = 1


class WithoutStops(Protected):
    venue_number = 2


class Short(Protected):
    side = Side.SELL


@pytest.mark.slow
@pytest.mark.parametrize("machine", [Protected, WithoutPairs, WithoutStops, Short])
def test_protected_positions(machine: type[Protected]) -> None:
    case = machine.TestCase
    case.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
    case().runTest()
