"""The number of examples of the longest property tests in the slow suite."""

from __future__ import annotations

import os

MANY = int(os.environ.get("TICKDECK_EXAMPLES", "100000"))
"""The default of 100,000 takes a quarter of an hour of one core per test; ``TICKDECK_EXAMPLES`` overrides it."""

SEEDS = int(os.environ.get("TICKDECK_SEEDS", "20"))
"""The number of seeds of the longest tests that kill processes; ``TICKDECK_SEEDS`` overrides the default of 20."""
