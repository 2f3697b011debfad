"""The processes of a case: the exchange, and the run that trades there."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torturing.shape import CASH, COINS

__all__ = ["RunProcess", "VenueProcess", "rss_mb"]

HERE = Path(__file__).resolve().parent
_START = 120.0  # seconds for a process to begin on a busy machine
KEYS = {
    f"{name.upper()}_API_{part.upper()}": f"{name}-{part}" for name in ("demo", *CASH) for part in ("key", "secret")
}


def rss_mb(pid: int) -> float:
    """The resident memory of a process in MB; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in fields if line.startswith("VmRSS:")), 0.0)


class VenueProcess:
    """``tickdeck venue`` with a journal, on a port that it keeps when it is killed and started again."""

    def __init__(self, folder: Path, *, seed: int, faults: str, symbols: Sequence[str], options: Sequence[str]) -> None:
        self._options = ["--symbols", ",".join(symbols), "--seed", str(seed), "--journal", str(folder / "journal")]
        self._options += options
        self._faults = faults
        self._errors = folder / "venue.stderr"
        self._port = 0
        self.kills = 0
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "tickdeck", "venue", "--port", str(self._port), "--json", *self._options]
        command += ["--faults", self._faults] if self._faults else []
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)  # noqa: S603
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the exchange did not start: {self._errors.read_text()[-500:]}")
        self.url: str = json.loads(line)["url"]
        self._port = int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL it."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self.kills += 1

    def act(self, path: str, values: dict[str, Any]) -> Any:
        """Send a command to its admin address."""
        request = urllib.request.Request(f"{self.url}/admin/{path}", json.dumps(values).encode())  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (http, to localhost)
            return json.load(answer)

    def open_account(self, name: str, cash: str) -> None:
        """Open an account with so many USDT, and coins, whose keys are in ``KEYS``. The journal keeps it."""
        values = {"name": name, "key": f"{name}-key", "secret": f"{name}-secret", "deposits": {"USDT": cash, **COINS}}
        self.act("account", values)

    def late_orders(self) -> int:
        """How many orders it has not taken yet, but will."""
        with urllib.request.urlopen(f"{self.url}/admin/state", timeout=30) as answer:  # noqa: S310 (http, to localhost)
            return int(json.load(answer)["late_orders"])

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()


class RunProcess:
    """``tickdeck run --name NAME --resume-or-start`` in a process of its own.

    ``die_at`` is a point of ``victim.py`` and how often it is passed. ``trace`` is a file for its system calls.
    """

    def __init__(self, data: Path, name: str, config: Path, *, die_at: str = "", trace: Sequence[str] = ()) -> None:
        self.errors = data.parent / "run.stderr"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}
        self._counts = data.parent / "counts"
        environment |= KEYS | {"TICKDECK_COUNTS": str(self._counts)} | ({"TICKDECK_DIE_AT": die_at} if die_at else {})
        command = [*trace, sys.executable, str(HERE / "victim.py"), "run", "--name", name, "--resume-or-start"]
        command += ["--config", str(config), "--data", str(data), "--plain", "--json"]
        self._is_traced = bool(trace)
        with self.errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                command, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=data.parent
            )
        self.most_mb = 0.0

    @property
    def pid(self) -> int:
        """The process of the run itself."""
        if not self._is_traced:
            return self._process.pid
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        found = children.read_text().split() if children.exists() else []
        return int(found[0]) if found else self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def wait_live(self, timeout: float = _START) -> bool:
        """Wait until it trades on the live market. Returns False if it ended, or did not get there in time."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            return bool(selector.select(timeout)) and self._process.stdout.readline() == b"LIVE\n"

    def wait(self, seconds: float) -> bool:
        """Wait for its end, at most so long. Returns whether it has ended."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.most_mb = max(self.most_mb, rss_mb(self.pid))
            try:
                self._process.wait(min(left, 1.0))
            except subprocess.TimeoutExpired:
                continue
            return True
        return self.has_ended

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if not self.has_ended:
            os.kill(self.pid, number)

    def counts(self, timeout: float = 60.0) -> tuple[int, int]:
        """How many objects and blocks of memory its Python has; 0 if it does not say so."""
        self._counts.unlink(missing_ok=True)
        self.signal(signal.SIGUSR1)
        until = time.monotonic() + timeout
        while not self._counts.exists():
            if self.has_ended or time.monotonic() > until:
                return 0, 0
            time.sleep(0.05)
        objects, blocks = self._counts.read_text().split()
        return int(objects), int(blocks)

    def kill(self) -> int:
        """SIGKILL it, unless it has ended. Returns its exit status: -9 if it was killed, by whomever."""
        if self.has_ended:
            return self._end()
        self.most_mb = max(self.most_mb, rss_mb(self.pid))
        os.kill(self.pid, signal.SIGKILL)
        return self._end()

    def stop(self, timeout: float = 30.0) -> int:
        """SIGTERM it, and wait. Returns its exit status."""
        self._process.terminate()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.kill()
        return self._end()

    def _end(self) -> int:
        status = self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return -9 if status in (-9, 137) else status

    def said(self) -> str:
        """The last line that it wrote to stderr."""
        lines = self.errors.read_text(errors="replace").replace("\r", "\n").strip().splitlines()
        return lines[-1].strip() if lines else ""
