"""``tickdeck doctor``: its checks of the machine and of exchanges, and its reports of problems."""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
import sqlite3
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from doctor_kit import not_ok

from tickdeck.errors import TapeError
from tickdeck.infrastructure.doctor import machine


def test_a_sound_machine_with_the_defaults_is_ready(looked):
    code, findings = looked()

    assert (code, not_ok(findings)) == (0, [])
    assert {"python", "sqlite", "tape", "disk sync", "disk space", "clock", "cores", "open files"} <= findings.keys()
    assert findings["run"]["detail"] == "can start: ema-cross on BTCUSDT"


def test_nothing_is_left_behind(looked):
    looked("--data", "data")

    assert list(Path.cwd().iterdir()) == []


def test_an_exchange_is_checked_only_if_you_name_it(looked):
    _, findings = looked()

    assert findings["exchanges"]["ok"] is None
    assert findings["exchanges"]["detail"] == "the network was not used; name one with --exchange (binance)"
    code, findings = looked("--exchange", "paper")
    assert (code, not_ok(findings)) == (0, [])


def test_an_exchange_that_does_not_exist_is_answered_with_those_that_do(looked):
    code, findings = looked("--exchange", "kraken")

    assert (code, not_ok(findings)) == (1, ["venue kraken"])
    assert findings["venue kraken"]["detail"] == "there is no exchange of this name; name one of binance"


@pytest.mark.long
def test_the_address_of_the_configuration_is_the_one_that_is_checked(looked):
    Path("live.toml").write_text('exchange = "binance"\nexchange_url = "http://127.0.0.1:1"\n')

    _, findings = looked("--config", "live.toml", "--exchange", "binance")

    assert "http://127.0.0.1:1 cannot be reached" in findings["venue binance"]["detail"]


def test_people_see_a_table_and_the_verdict(tickdeck):
    result = tickdeck("doctor")

    assert result.exit_code == 0
    assert "ok    python" in result.stdout
    assert "-     exchanges" in result.stdout
    assert result.stdout.endswith("ready to run\n")


def test_people_see_the_number_of_problems(tickdeck):
    result = tickdeck("doctor", "--config", "absent.toml")

    assert result.exit_code == 1
    assert "NO    configuration" in result.stdout
    assert result.stdout.endswith("1 problem to fix\n")


# -- the machine ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["taken/data", "taken"])
def test_a_data_folder_that_cannot_be_written_is_reported(looked, data):
    Path("taken").write_text("a file")

    code, findings = looked("--data", data)

    assert (code, not_ok(findings)) == (1, ["data folder"])
    assert "name another with --data" in findings["data folder"]["detail"]
    assert "tape" not in findings


def test_an_existing_data_folder_is_used(looked):
    Path("data").mkdir()

    assert looked("--data", "data")[1]["data folder"]["detail"] == "data can be written"


def _broken_tape(*_: object) -> None:
    raise TapeError("tape: this file system does not support a write-ahead log; put the data on a local disk")


class _BlindReader:
    """Sees nothing that another process wrote."""

    def __init__(self, path: Path) -> None:
        pass

    def __enter__(self) -> _BlindReader:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self) -> list[object]:
        return []


def _ticking(step: float) -> Callable[[], float]:
    """A clock that advances by ``step`` each time it is read."""
    now = [0.0]

    def look() -> float:
        now[0] += step
        return now[0]

    return look


def _failing_sync(path: Path) -> None:
    raise TapeError(f"{path}: cannot sync it: Input/output error")


Usage = namedtuple("Usage", "total used free")
WRONG = {
    "python": (sys, "version_info", (3, 10, 2), "install Python 3.11 or later"),
    "sqlite": (sqlite3, "sqlite_version_info", (3, 7, 17), "use a Python that comes with 3.8.0 or later"),
    "tape": (machine, "SqliteTape", _broken_tape, "put the data on a local disk"),
    "disk space": (shutil, "disk_usage", lambda path: Usage(1 << 40, 0, 1 << 20), "free some space"),
    "disk sync": (machine, "sync", _failing_sync, "cannot sync it"),
    "open files": (resource, "getrlimit", lambda which: (64, 4_096), "`ulimit -n 1024` raises it"),
}


@pytest.mark.parametrize(("check", "wrong"), WRONG.items(), ids=WRONG)
def test_problems_of_the_machine_are_reported_with_a_remedy(monkeypatch, tmp_path, check, wrong):
    place, name, value, mend = wrong
    monkeypatch.setattr(place, name, value)

    findings = {finding.check: finding for finding in machine.machine_findings(tmp_path)}

    assert [name for name, finding in findings.items() if finding.ok is False] == [check]
    assert mend in findings[check].detail


def test_a_tape_that_others_cannot_read_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "SqliteTapeReader", _BlindReader)

    findings = {finding.check: finding for finding in machine.machine_findings(tmp_path)}

    assert findings["tape"].ok is False
    assert "a second process does not see durable data" in findings["tape"].detail


@pytest.mark.parametrize(
    ("step", "ok", "told"),
    [
        (0.2, False, "each order waits this long"),
        (0.000_001, True, "it does not survive a power cut"),
        (0.001, True, ""),
    ],
)
def test_the_time_that_a_sync_takes_is_judged(monkeypatch, tmp_path, step, ok, told):
    monkeypatch.setattr(time, "perf_counter", _ticking(step))

    findings = {finding.check: finding for finding in machine.machine_findings(tmp_path)}

    assert findings["disk sync"].ok is ok
    assert told in findings["disk sync"].detail


def test_wrong_file_times_are_reported(monkeypatch, tmp_path):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3_600)

    findings = {finding.check: finding for finding in machine.machine_findings(tmp_path)}

    assert findings["disk clock"].ok is False
    assert "set both clocks by NTP" in findings["disk clock"].detail


def test_a_clock_that_was_never_set_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(time, "time", lambda: 86_400.0)

    findings = {finding.check: finding for finding in machine.machine_findings(tmp_path)}

    assert findings["clock"].ok is False
    assert findings["clock"].detail.startswith("1970-01-02 00:00:00 UTC")


def test_a_clock_that_is_stepped_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(time, "time", _ticking(1_000_000_000))
    monkeypatch.setattr(machine, "_data_folder", lambda data: iter(()))

    findings = {finding.check: finding for finding in machine.machine_findings(tmp_path)}

    assert findings["monotonic clock"].ok is False
    assert "let NTP slew it" in findings["monotonic clock"].detail


def test_one_core_is_enough(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)

    findings = {finding.check: finding for finding in machine.machine_findings(tmp_path)}

    assert findings["cores"].ok is True
    assert findings["cores"].detail.startswith("1 available; ")


def test_missing_optional_packages_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    findings = {finding.check: finding for finding in machine.machine_findings(tmp_path)}

    assert findings["event loop"].ok is True
    assert "asyncio's own" in findings["event loop"].detail
    assert findings["extra report"].ok is None
    missing = "jinja2, matplotlib not installed; to install: `pip install 'tickdeck[report]'`"
    assert missing in findings["extra report"].detail


# -- exchanges --------------------------------------------------------------------------------------------------------


def test_an_exchange_is_checked_with_the_accounts_of_the_configuration(looked, monkeypatch):
    monkeypatch.delenv("NOWHERE_API_KEY", raising=False)
    Path("run.toml").write_text('[accounts.main]\nexchange = "binance"\ncredentials = "env:NOWHERE"\n')

    code, findings = looked("--config", "run.toml", "--exchange", "binance", "--url", "http://127.0.0.1:9")

    assert code == 1
    assert not_ok(findings) == ["venue binance", "credentials main"]
    assert "the environment has no NOWHERE_API_KEY" in findings["credentials main"]["detail"]


def test_the_key_of_the_environment_is_checked_if_a_live_run_would_use_it(looked, monkeypatch):
    monkeypatch.delenv("BINANCE_API_KEY", raising=False)
    limits = "max_order_notional = 1\nmax_position_notional = 1\nmax_daily_loss = 1\n"
    strategy = '[[strategies]]\nspec = "market-maker"\n'
    Path("run.toml").write_text(f'exchange = "binance"\nlive = true\nsymbols = ["BTCUSDT"]\n[risk]\n{limits}{strategy}')

    _, findings = looked("--config", "run.toml", "--exchange", "binance", "--url", "http://127.0.0.1:9")

    assert findings["credentials main"]["ok"] is False
    assert "the environment has no BINANCE_API_KEY" in findings["credentials main"]["detail"]


def test_an_address_without_an_exchange_is_refused(tickdeck):
    result = tickdeck("doctor", "--testnet")

    assert result.exit_code == 2
    assert "name it with --exchange" in result.stderr
