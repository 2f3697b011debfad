"""The command line in separate processes: a single command, or a run that continues."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

from tickdeck.infrastructure.control import query
from tickdeck.infrastructure.control.messages import socket_path


def tickdeck(*words: str, data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tickdeck", *words],
        env={**os.environ, "TICKDECK_DATA": str(data)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _has_begun(folder: Path) -> bool:
    """Whether the run accepts commands: it listens a little earlier, and refuses them until then."""
    health = query(folder, "health", {}, timeout=60)
    return health is not None and health["seq"] > 0


class Running:
    """A run on the simulated market, in real time, that has begun."""

    def __init__(self, data: Path, *words: str) -> None:
        for path in data.glob("*/manifest.json"):  # of a run that was killed
            socket_path(path.parent).unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tickdeck", "run", "--plain", "--log-level", "info", *words],
            env={**os.environ, "TICKDECK_DATA": str(data)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if "strategy.activated" in line or "run begins" in line:
                break
        # A full pipe would block the run.
        self._reading = threading.Thread(target=deque, args=(self._process.stderr, 0), daemon=True)
        self._reading.start()
        while not any(_has_begun(path.parent) for path in data.glob("*/manifest.json")):
            assert self._process.poll() is None

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self, how: signal.Signals) -> None:
        self._process.send_signal(how)
        self._process.wait(60)
        self._reading.join()
        assert self._process.stderr is not None
        self._process.stderr.close()
