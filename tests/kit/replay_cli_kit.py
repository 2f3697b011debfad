"""Shared by the tests of ``tickdeck replay``."""

from __future__ import annotations

import re
import sys

COMMAND = [sys.executable, "-m", "tickdeck", "replay", "last"]
SECOND = 1_000_000_000
START = 1_704_067_200 * SECOND
STATISTICS = re.compile(r"tickdeck: played [\d,]+ events? in [\d,.]+ s; ms late: p50 [\d.]+, p99 [\d.]+, max [\d.]+\n")
PATIENCE_S = 30
