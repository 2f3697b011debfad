"""``tickdeck replay`` into a pipe: which events, at what pace, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from typing import Any

import pytest
from replay_cli_kit import COMMAND, SECOND, START, STATISTICS


def times(listed: list[dict[str, Any]]) -> list[float]:
    return [(event["ts_ingress"] - START) / SECOND for event in listed]


# -- output --------------------------------------------------------------------------------------------------------


def test_it_prints_what_events_prints_as_json(tickdeck, simulated):
    played = tickdeck("replay", "last", "--speed", "max", "--data", simulated, "--json")

    assert played.exit_code == 0
    assert played.stdout == tickdeck("events", "last", "--data", simulated, "--json").stdout
    assert re.fullmatch(r"tickdeck: played [\d,]+ events in [\d.]+ s\n", played.stderr)


def test_people_get_one_line_per_event_below_the_day(tickdeck, simulated):
    played = tickdeck("replay", "last", "--speed", 0, "--type", "run.*", "--data", simulated)

    day, started, stopped = played.stdout.splitlines()
    assert day == "-- 2024-01-01 UTC"
    assert re.fullmatch(r"00:00:0\d\.\d{3} 1        run\.started       strategies=ema-cross .*", started)
    assert "run.stopped" in stopped


def test_paced_events_come_at_their_own_time_and_their_lateness_is_reported(tickdeck, simulated):
    began = time.monotonic()
    played = tickdeck("replay", "last", "--speed", 200, "--data", simulated, "--json")

    assert time.monotonic() - began >= 0.09  # 20 seconds, two hundred times as fast
    assert played.stdout == tickdeck("events", "last", "--data", simulated, "--json").stdout
    assert STATISTICS.fullmatch(played.stderr)


def test_types_symbols_and_exchanges_select_events(tickdeck, simulated, lines):
    def played(*words: str) -> list[dict[str, Any]]:
        return lines(tickdeck("replay", "last", "--speed", "max", "--data", simulated, "--json", *words))

    assert {event["event_type"].partition(".")[0] for event in played("--type", "order.*", "--type", "run.*")} == {
        "order",
        "run",
    }
    assert {event["symbol"] for event in played("--symbol", "ETHUSDT")} == {"ETHUSDT"}
    assert {event["symbol"] for event in played("--symbol", "ETHUSDT", "--symbol", "BTCUSDT")} == {"BTCUSDT", "ETHUSDT"}
    assert {event["source"] for event in played("--exchange", "paper")} == {"paper"}


def test_from_and_to_are_inclusive(tickdeck, simulated, lines):
    options = ("--speed", "max", "--data", simulated, "--json")
    first, last = START + 5 * SECOND, "2024-01-01T00:00:06Z"

    played = times(lines(tickdeck("replay", "last", "--from", first, "--to", last, *options)))

    assert len(played) > 10
    assert 5 <= min(played) <= max(played) <= 6


def test_events_of_input_files_are_played_in_their_places(tickdeck, trades, lines):
    tickdeck("run", "--tape", trades, "--speed", "max")

    options = ("--speed", "max", "--json", "--from", "2024-08-09T00:00:10Z")
    played = lines(tickdeck("replay", "last", *options, "--symbol", "BTCUSDT"))
    orders = tickdeck("replay", "last", *options, "--type", "order.*")

    assert {"market.trade", "market.candle"} <= {event["event_type"] for event in played}
    assert [event["seq"] for event in played] == sorted(event["seq"] for event in played)
    assert orders.stdout == tickdeck("events", "last", *options[2:], "--type", "order.*").stdout


def test_an_empty_result_is_reported(tickdeck, simulated):
    played = tickdeck("replay", "last", "--type", "order.filed", "--data", simulated)

    assert played.exit_code == 0
    assert played.stdout == ""
    assert re.fullmatch(
        r"tickdeck: run \S+ has no such event; `tickdeck events \S+` lists what it has\n", played.stderr
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--speed", "-1"], "'-1' is not a valid speed; give a multiple of real time"),
        (["--from", "2", "--to", "1"], "the end 1 is before the start 2"),
        (["--from", "noon"], "'noon' is not a time"),
    ],
)
def test_a_wrong_call_is_reported_in_one_line(tickdeck, simulated, words, told):
    played = tickdeck("replay", "last", "--data", simulated, *words)

    assert played.exit_code == 2
    assert told in played.stderr
    assert played.stderr.count("\n") == 1


def test_a_missing_run_is_reported(tickdeck):
    played = tickdeck("replay", "last")

    assert played.exit_code == 2
    assert "there are no runs under" in played.stderr


# -- processes ------------------------------------------------------------------------------------------------------


def test_a_pipe_whose_reader_ends_early_is_closed_quietly(simulated, tmp_path):
    words = [*COMMAND, "--speed", "max", "--data", str(simulated), "--json"]

    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read()

    assert json.loads(first)["event_type"] == "run.started"
    assert told == ""
    assert process.returncode == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("speed", ["0.01", "max"])
def test_a_signal_ends_it_with_its_own_code_after_the_statistics(simulated, tmp_path, number, code, speed):
    words = [*COMMAND, "--speed", speed, "--data", str(simulated)]

    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.send_signal(number)
        _, told = process.communicate(timeout=60)

    assert process.returncode in ({code} if speed == "0.01" else {code, 0})  # at full speed it may have ended before
    assert re.match("tickdeck: played [1-9]", told)
    assert "Traceback" not in told
