"""How many examples the longest property tests of the slow suite take."""

from __future__ import annotations

import os

MANY = int(os.environ.get("TICKDECK_EXAMPLES", "100000"))
"""100,000 unless ``TICKDECK_EXAMPLES`` says otherwise: these take a quarter of an hour of one core each."""

SEEDS = int(os.environ.get("TICKDECK_SEEDS", "20"))
"""How many seeds the longest tests with killed processes take: 20 unless ``TICKDECK_SEEDS`` says otherwise."""
