"""The command line as real processes: exit codes, streams, signals, terminals and pipes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "tickdeck"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "--for", "2", "--speed", "max", "--json"], 0),
        (["runs", "--json"], 0),
        (["book", "last", "--at", "1", "--data", "{data}", "--symbol", "BTCUSDT"], 1),
        (["run", "--speed", "never"], 2),
        (["verify", "last"], 2),
    ],
)
def test_exit_codes_reach_the_shell(spawn, simulated, words, code):
    done = spawn(*[word.format(data=simulated) for word in words])

    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_a_pipe_gets_only_json_and_no_control_characters(spawn):
    done = spawn("run", "--for", 2, "--speed", "max", "--json")

    assert json.loads(done.stdout)["status"] == "completed"
    assert all(line.startswith("tickdeck: run ") for line in done.stderr.splitlines())
    assert "\x1b" not in done.stderr


def test_a_full_disk_for_the_output_gives_one_line(spawn, simulated):
    with Path("/dev/full").open("w") as full:
        done = spawn("events", "last", "--data", simulated, stdout=full)

    assert done.returncode == 3
    assert (
        done.stderr
        == "tickdeck: error: cannot write the output: No space left on device; check where it is redirected to\n"
    )


def test_a_closed_output_gives_one_line(tmp_path, simulated):
    words = f'exec "{sys.executable}" -m tickdeck verify last --data "{simulated}" >&-'
    done = subprocess.run(["sh", "-c", words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 3
    assert done.stderr == "tickdeck: error: stdout is closed; redirect the output, for example to /dev/null\n"


def test_a_run_whose_reader_ends_early_succeeds(tmp_path):
    words = f'set -o pipefail; "{sys.executable}" -m tickdeck run --for 2 --speed max | head -1 >/dev/null'
    done = subprocess.run(["bash", "-c", words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0
    assert "Error" not in done.stderr


@pytest.mark.parametrize("words", ["--help", "--version", "run --help", "tape check --help"])
def test_help_whose_reader_ends_early_succeeds(words):
    line = f'"{sys.executable}" -m tickdeck {words} | true; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_current_folder_that_was_deleted_is_reported(tmp_path):
    line = f'mkdir gone && cd gone && rmdir ../gone && "{sys.executable}" -P -m tickdeck run --for 1'
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert done.stderr == "tickdeck: error: the current folder was deleted; change to another one\n"


def test_a_warning_is_one_line_and_a_byte_order_mark_is_accepted(tmp_path):
    (tmp_path / "c.toml").write_text('log_events = ["market.cadle"]\n', "utf-8-sig")
    words = [*COMMAND, "run", "--config", "c.toml", "--for", "1", "--speed", "max"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert [line for line in lines if not line.startswith("tickdeck: ")] == []
    assert any(line.startswith("tickdeck: warning: ") and "did you mean 'market.candle'?" in line for line in lines)


def test_a_summary_in_a_pipe_has_no_control_characters(spawn):
    done = spawn("run", "--for", 2, "--speed", "max")

    assert "completed" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr


def read_terminal(master: int) -> str:
    """Everything that was written to a terminal whose other end is closed."""
    parts = []
    try:
        while part := os.read(master, 65_536):
            parts.append(part)
    except OSError:  # Linux says so where macOS gives an empty read
        pass
    return b"".join(parts).decode()


def test_on_a_terminal_the_progress_line_refreshes_disappears_and_spares_stdout(tmp_path):
    master, slave = pty.openpty()
    words = ["run", "--for", "30", "--speed", "max", "--json"]

    with subprocess.Popen([*COMMAND, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        shown = read_terminal(master)
        stdout = process.stdout.read() if process.stdout else b""
    os.close(master)

    assert process.returncode == 0
    assert json.loads(stdout)["status"] == "completed"
    first, *lines = shown.split("\r\x1b[2K")
    assert "ema-cross on BTCUSDT, a simulated market, at full speed" in first
    assert "pnl" in lines[0]
    assert " events" in lines[0]
    assert lines[-1] == ""


def test_sigint_and_sigterm_end_a_real_run_in_order_so_that_it_can_be_resumed(spawn, tmp_path):
    (tmp_path / "stops.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from tickdeck import Strategy\n"
        "class Stops(Strategy):\n"
        "    def on_trade(self, trade):\n"
        "        for number in (2, 15):\n"
        "            flag = Path(f'signal-{number}')\n"
        "            if flag.exists():\n"
        "                flag.unlink()\n"
        "                os.kill(os.getpid(), number)\n"
    )
    speed = ("--speed", 50, "--json")
    (tmp_path / "signal-2").write_text("")
    by_sigint = spawn("run", "--strategy", "stops.py:Stops", "--for", 40, *speed)
    (tmp_path / "signal-15").write_text("")
    by_sigterm = spawn("run", "--resume", "last", *speed)
    to_the_end = spawn("run", "--resume", "last", "--speed", "max", "--json")
    verified = spawn("verify", "last", "--json")

    assert (by_sigint.returncode, by_sigterm.returncode, to_the_end.returncode) == (130, 143, 0)
    assert json.loads(by_sigint.stdout)["status"] == "interrupted"
    assert json.loads(to_the_end.stdout)["status"] == "completed"
    assert json.loads(verified.stdout)["identical"] is True
    assert "Traceback" not in by_sigint.stderr + by_sigterm.stderr


def test_a_reader_that_ends_early_ends_the_listing_quietly(simulated, tmp_path):
    words = ["events", "last", "--data", str(simulated), "--json"]

    with subprocess.Popen([*COMMAND, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()
        stderr = process.stderr.read()

    assert json.loads(first)["seq"] == 1
    assert (process.returncode, stderr) == (0, b"")


def test_the_listing_of_another_data_folder_is_the_same_from_anywhere(spawn, simulated, tmp_path):
    relative = Path(os.path.relpath(simulated, tmp_path))

    assert spawn("runs", "--data", relative, "--json").stdout == spawn("runs", "--data", simulated, "--json").stdout
