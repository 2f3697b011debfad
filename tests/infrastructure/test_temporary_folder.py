"""Temporary folders: nothing is left of them, however the process that created them ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.fresh_file import fresh_file
from tickdeck.infrastructure.temporary_folder import temporary_folder

MAKES = "from pathlib import Path; from tickdeck.infrastructure.fresh_file import fresh_file; import time\n"
MAKES += "with fresh_file(Path('out')) as place: place.write_text('half'); print('ready', flush=True); time.sleep(60)"


def killed(folder: Path) -> None:
    """A process that was killed while it created a file in ``folder``."""
    with subprocess.Popen([sys.executable, "-c", MAKES], cwd=folder, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()


def test_leftovers_of_a_killed_process_are_removed_by_the_next_one(tmp_path: Path) -> None:
    killed(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1

    with fresh_file(tmp_path / "other") as place:
        place.write_text("whole")

    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_folders_in_use_by_another_process_are_kept(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as theirs:
        (theirs / "half").write_text("")
        with temporary_folder(tmp_path) as ours:
            assert ours != theirs
            assert (theirs / "half").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_lock_is_removed_only_when_it_is_old(tmp_path: Path) -> None:
    young, old = tmp_path / ".tickdeck-young", tmp_path / ".tickdeck-old"
    for place in (young, old):
        place.mkdir()
    os.utime(old, (time.time() - 7_200,) * 2)

    with temporary_folder(tmp_path):
        pass

    assert list(tmp_path.iterdir()) == [young]


def test_a_name_of_the_maximum_length_can_be_created(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    with fresh_file(path) as place:
        place.write_text("x")
    assert path.read_text() == "x"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("command", ["export", "import"])
def test_an_export_or_import_that_a_signal_ends_leaves_nothing(tmp_path: Path, number: int, command: str) -> None:
    trades = tmp_path / "BTCUSDT-trades.csv"
    rows = (f"{n},60000.5,0.01,600.0,{1_723_161_600_000 + n},True,True" for n in range(1, 400_001))
    trades.write_text("\n".join(rows) + "\n")
    tickdeck = [sys.executable, "-m", "tickdeck"]
    if command == "export":
        run = [*tickdeck, "run", "--for", "3000", "--speed", "max", "--json"]
        subprocess.run(run, cwd=tmp_path, capture_output=True, check=True, timeout=180)
        words = ["export", "last", "--format", "csv", "--out", "out.csv"]
    else:
        words = ["import", "binance-trades", str(trades), "--symbol", "BTCUSDT", "--out", "out.db"]
    before = {path.name for path in tmp_path.iterdir()}

    # Without coverage, which would handle the signal itself.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    process = subprocess.Popen(
        [*tickdeck, *words], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".tickdeck-*/out*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=120)

    assert process.returncode == 128 + number, stderr
    assert {path.name for path in tmp_path.iterdir()} == before
    assert b"Traceback" not in stderr


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc")
def test_a_folder_where_nothing_can_be_created_is_said_to_be_there() -> None:
    mistake = pytest.raises(ConfigError, match="the folder /proc cannot be written; name another")
    with mistake, fresh_file(Path("/proc/xx")):
        pass
