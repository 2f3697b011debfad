"""Record a short run on the simulated market, for the other examples to replay.

python examples/sample_run.py DATA_FOLDER
"""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from pathlib import Path

from tickdeck.bootstrap import start_run
from tickdeck.infrastructure.config import RunConfig


def record(data: Path, seconds: int = 10) -> Path:
    """The folder of a new run of so many seconds, at full speed."""
    run = start_run(RunConfig(duration=Decimal(seconds)), data)
    try:
        asyncio.run(run.simulation.run())
    finally:
        run.close()
    return run.folder


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} DATA_FOLDER")
    print(f"recorded {record(Path(sys.argv[1]))}")
