"""Checks of the machine: Python, SQLite, the disk under the data folder, clocks, cores and limits. They use no
network and leave nothing behind."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import resource
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tickdeck.domain.events import RunStopped
from tickdeck.errors import TickdeckError
from tickdeck.infrastructure.doctor.findings import Finding
from tickdeck.infrastructure.tape import SqliteTape, SqliteTapeReader
from tickdeck.infrastructure.tape.sync import sync
from tickdeck.infrastructure.temporary_folder import temporary_folder

__all__ = ["machine_findings"]

_PYTHON = (3, 11)
_SQLITE = (3, 8, 0)  # partial indexes
_SYNCS = 40
_SLOW_SYNC_MS = 50.0
_MEMORY_SYNC_MS = 0.02
_FREE_BYTES = 1 << 30
_FILES = 256
_YEARS = (2024, 2100)
_DRIFT_S = 0.05
_SKEW_S = 2.0
_EXTRAS = {
    "parquet": ("pyarrow",),
    "report": ("jinja2", "matplotlib"),
    "binance": ("aiohttp", "cryptography", "picows"),
    "venue": ("aiohttp", "cryptography"),
    "metrics": ("prometheus_client",),
}


def machine_findings(data: Path) -> Iterator[Finding]:
    """Run the checks one by one, within a second in total. ``data`` is the folder for runs; it need not exist yet."""
    yield _python()
    yield _event_loop()
    yield _sqlite()
    yield from _data_folder(data)
    yield from _clocks()
    yield _cores()
    yield _open_files()
    for extra, packages in _EXTRAS.items():
        yield _extra(extra, packages)


def _python() -> Finding:
    found = f"{platform.python_implementation()} {platform.python_version()} on {sys.platform} {platform.machine()}"
    if sys.version_info[:2] < _PYTHON:
        return Finding("python", False, f"{found}; install Python {'.'.join(map(str, _PYTHON))} or later")
    return Finding("python", True, found)


def _event_loop() -> Finding:
    if importlib.util.find_spec("uvloop") is None:
        return Finding("event loop", True, "asyncio's own; with the package uvloop it would be faster")
    return Finding("event loop", True, "uvloop")


def _sqlite() -> Finding:
    if sqlite3.sqlite_version_info < _SQLITE:
        wanted = ".".join(map(str, _SQLITE))
        return Finding("sqlite", False, f"{sqlite3.sqlite_version}; use a Python that comes with {wanted} or later")
    return Finding("sqlite", True, sqlite3.sqlite_version)


# -- the data folder ----------------------------------------------------------------------------------------------


def _data_folder(data: Path) -> Iterator[Finding]:
    """Run the checks in a temporary folder where the runs are, or would be created."""
    place = data.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder(place))
        except OSError as error:
            yield Finding("data folder", False, f"{data} cannot be written: {error.strerror}; name another with --data")
            return
        new = "" if place == data.absolute() else " (not there yet)"
        yield Finding("data folder", True, f"{data}{new} can be written")
        yield _tape(folder)
        yield _syncing(folder)
        yield _space(folder)
        yield _skew(folder)


def _tape(folder: Path) -> Finding:
    """Write a real tape, and read it through a second connection while its writer has it open."""
    path = folder / "tape.db"
    try:
        with SqliteTape(path) as tape:
            began = time.perf_counter()
            tape.append((RunStopped(reason="doctor", event_id="1", seq=1, ts=1, ts_ingress=1),))
            tape.wait_durable(1)
            took_ms = (time.perf_counter() - began) * 1e3
            with SqliteTapeReader(path) as reader:
                found = sum(1 for _ in reader.read())
    except TickdeckError as error:
        return Finding("tape", False, f"{error}")
    if found != 1:
        return Finding("tape", False, "a second process does not see durable data; put the data folder on a local disk")
    return Finding("tape", True, f"write-ahead log works here, an event is durable in {took_ms:.1f} ms")


def _syncing(folder: Path) -> Finding:
    """How long the disk takes to sync a page. Each order waits this long on its way to a venue."""
    took: list[float] = []
    path = folder / "sync"
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(_SYNCS):
                file.write(bytes(4_096))
                began = time.perf_counter()
                sync(path)
                took.append((time.perf_counter() - began) * 1e3)
    except (OSError, TickdeckError) as error:
        return Finding("disk sync", False, f"{error}")
    middle = median(took)
    found = f"{middle:.2f} ms, at worst {max(took):.2f} ms, of {_SYNCS} syncs of 4 KiB"
    if middle > _SLOW_SYNC_MS:
        return Finding("disk sync", False, f"{found}; each order waits this long: put the data folder on a local SSD")
    if middle < _MEMORY_SYNC_MS:
        return Finding("disk sync", True, f"{found}: only memory is this fast, and it does not survive a power cut")
    return Finding("disk sync", True, found)


def _space(folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    found = f"{usage.free / (1 << 30):,.1f} GiB of {usage.total / (1 << 30):,.1f} GiB free"
    if usage.free < _FREE_BYTES:
        return Finding("disk space", False, f"{found}; free some space: a tape takes about 0.5 KiB per event")
    return Finding("disk space", True, found)


def _skew(folder: Path) -> Finding:
    """Compare the file times of the folder's file system with this machine's clock. On some network disks they
    differ."""
    path = folder / "now"
    before = time.time()
    path.write_bytes(b"")
    skew = path.stat().st_mtime - before
    found = f"the file times and this machine's clock are {abs(skew):.2f} s apart"
    if abs(skew) > _SKEW_S:
        return Finding("disk clock", False, f"{found}; put the data folder on a local disk, or set both clocks by NTP")
    return Finding("disk clock", True, found)


# -- the rest -----------------------------------------------------------------------------------------------------


def _clocks() -> Iterator[Finding]:
    now = datetime.fromtimestamp(time.time(), UTC)
    found = f"{now:%Y-%m-%d %H:%M:%S} UTC, not compared with another clock"
    if not _YEARS[0] <= now.year <= _YEARS[1]:
        yield Finding("clock", False, f"{found}; set the machine's clock, preferably by NTP")
    else:
        yield Finding("clock", True, found)
    wall, steady = time.time(), time.monotonic()
    time.sleep(0.1)
    drift = (time.time() - wall) - (time.monotonic() - steady)
    resolution = time.get_clock_info("monotonic").resolution
    found = f"resolution {resolution * 1e9:,.0f} ns, {abs(drift) * 1e3:.2f} ms apart from the clock after 100 ms"
    if abs(drift) > _DRIFT_S:
        yield Finding("monotonic clock", False, f"{found}; the clock is being stepped: let NTP slew it")
    else:
        yield Finding("monotonic clock", True, found)


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{cores} available"
    if cores < 2:
        return Finding("cores", True, f"{found}; a run uses one, so other commands would share it")
    return Finding("cores", True, found)


def _open_files() -> Finding:
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"at most {limit:,} open files"
    if limit < _FILES:
        return Finding("open files", False, f"{found}; `ulimit -n {min(1_024, most)}` raises it")
    return Finding("open files", True, found)


def _extra(extra: str, packages: tuple[str, ...]) -> Finding:
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        what = f"{', '.join(missing)} not installed; to install: `pip install 'tickdeck[{extra}]'`"
        return Finding(f"extra {extra}", None, what)
    return Finding(f"extra {extra}", True, ", ".join(packages))
