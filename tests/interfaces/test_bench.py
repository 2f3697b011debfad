"""`tickdeck bench`: every row works at a tiny size. No test here checks a speed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tickdeck.errors import ConfigError
from tickdeck.interfaces.bench.command import bench_command
from tickdeck.interfaces.bench.latency import Latencies
from tickdeck.interfaces.bench.row import Goal, Part, Row
from tickdeck.interfaces.bench.rows import ROWS, select_rows
from tickdeck.interfaces.bench.runner import WorkerFailed, run_row
from tickdeck.interfaces.bench.worker import open_session

TINY = {
    "bus-1": {"count": 20},
    "bus-1-stamped": {"count": 20},
    "bus-10": {"count": 20},
    "kernel": {"count": 20},
    "tape-append": {"count": 50},
    "tape-one": {"count": 5},
    "tape-read": {"count": 50},
    "tape-jsonl-append": {"count": 50},
    "tape-jsonl-read": {"count": 50},
    "commands-1": {"count": 4},
    "commands-64": {"count": 8},
    "aggregate-load": {"events": 120},
    "latency-10k": {"seconds": 0.01},
    "latency-100k": {"seconds": 0.001},
    "latency-burst": {"seconds": 0.01},
    "latency-overload": {"seconds": 0.001},
    "backtest": {"count": 1_000},
    "backtest-file": {"count": 1_000},
    "backtest-order": {"count": 3_000},
    # A machine under load merges best prices, and with them the few marked ones of half a second.
    "order-1k": {"rate": 100, "seconds": 1.0},
    "order-10k": {"rate": 100, "seconds": 1.0},
    "order-path": {"count": 3},
    "order-path-durable": {"count": 3},
    "matching": {"count": 1_000},
    "memory": {"count": 1_000},
    "resume-10k": {"count": 1},
    "resume-100k": {"count": 1},
    "frames-bookTicker": {"count": 50},
    "frames-trade": {"count": 50},
    "frames-depth": {"count": 50},
    "help": {},
}

STAND_INS = """
import sys, time

def steady(*, value):
    print("a library that prints")
    return lambda: {"value": value}

def does_not_start():
    raise RuntimeError("no such device")

def stops():
    def repetition():
        print("out of luck", file=sys.stderr)
        raise SystemExit(9)
    return repetition

def hangs():
    return lambda: time.sleep(60)
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    """A file of measurements with chosen outcomes."""
    path = tmp_path / "stand_ins.py"
    path.write_text(STAND_INS)
    return path


def row_of(path: Path, own: str = "steady", *, value: float = 6.0, **more: object) -> Row:
    parameters = {"value": value} if own == "steady" else {}
    part = Part(target=f"{path}:{own}", parameters=parameters, timeout=30.0)
    return Row(name="row", what="a row", unit="events/s", part=part, in_it="nothing", **more)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_works_at_a_tiny_size(row: Row, tmp_path: Path) -> None:
    folder = {"folder": str(tmp_path)} if row.part.needs_folder else {}

    session = open_session(row.part.target, row.part.parameters | TINY[row.name] | folder)
    first, second = session(), session()

    assert first.keys() == second.keys() >= {"value"}
    assert ("ceiling" in first) == bool(row.ceiling_is)
    assert all(figures["value"] > 0 for figures in (first, second)) or row.name == "memory"


def test_the_backtest_trades(tmp_path: Path) -> None:
    session = open_session(
        "tickdeck.interfaces.bench.backtest:backtest", {"count": 3_000, "preloaded": True, "folder": str(tmp_path)}
    )

    figures = session()

    assert figures["orders"] > 0
    assert figures["fills"] > 0


def test_the_preloaded_backtest_does_what_the_one_from_the_file_does(tmp_path: Path) -> None:
    made = []
    for preloaded in (True, False):
        folder = tmp_path / str(preloaded)
        folder.mkdir()
        parameters = {"count": 3_000, "preloaded": preloaded, "folder": str(folder)}
        figures = open_session("tickdeck.interfaces.bench.backtest:backtest", parameters)()
        made.append((figures["orders"], figures["fills"]))

    assert made[0] == made[1]


@pytest.mark.long
def test_a_killed_run_is_resumed_from_the_snapshot_before_the_stop(tmp_path: Path) -> None:
    parameters = {"count": 3_000, "state_every": 2_500, "folder": str(tmp_path)}

    figures = open_session("tickdeck.interfaces.bench.resuming:resume", parameters)()

    assert 0 < figures["behind"] < figures["events"]


def test_json_prints_the_promised_keys_and_nothing_else_on_stdout(tmp_path: Path) -> None:
    result = CliRunner().invoke(bench_command, ["kernel", "--quick", "--json", "--data", str(tmp_path / "data")])

    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    told = json.loads(line)
    assert {"name", "value", "unit", "ceiling", "ratio", "peers", "goal", "goal_met", "in_it", "runs"} <= told.keys()
    assert told["name"] == "kernel"
    assert told["peers"] == {}
    assert list((tmp_path / "data").iterdir()) == []


def test_the_table_for_people_names_row_and_goal(tmp_path: Path) -> None:
    result = CliRunner().invoke(bench_command, ["kernel", "--quick", "--data", str(tmp_path)], env={"COLUMNS": "200"})

    assert result.exit_code == 0, result.output
    assert "the whole kernel, with a tape that stores nothing" in result.stdout
    assert "at least 0.7 M/s" in result.stdout


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = CliRunner().invoke(bench_command, ["kernel", "--data", str(tmp_path / "file" / "data")])

    assert isinstance(result.exception, ConfigError)
    assert "--data" in str(result.exception)


def test_a_prefix_selects_its_rows() -> None:
    assert [row.name for row in select_rows("bus")] == ["bus-1", "bus-1-stamped", "bus-10"]
    assert [row.name for row in select_rows("backtest")] == ["backtest"]
    assert len(select_rows(None)) == len(ROWS)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"there is no row 'nonsense'; the rows are bus-1, "):
        select_rows("nonsense")


def test_a_goal_about_a_peer_that_was_not_measured_is_not_judged(stand_ins: Path, tmp_path: Path) -> None:
    goals = (Goal(text="at least 5", at_least=5.0), Goal(text="3 x other", of="other", at_least=3.0))
    peers = {"other": Part(target="steady", module="no_such_module")}

    result = run_row(row_of(stand_ins, goals=goals, peers=peers), tmp_path, peers=stand_ins)

    assert [goal.met for goal in result.goals] == [True, None]
    assert result.goal_met is None
    assert result.notes == ("other is not installed",)


def test_a_missed_goal_counts_even_if_others_are_unknown(stand_ins: Path, tmp_path: Path) -> None:
    goals = (Goal(text="below 5", below=5.0), Goal(text="3 x other", of="other", at_least=3.0))

    result = run_row(row_of(stand_ins, goals=goals), tmp_path)

    assert result.goal_met is False


@pytest.mark.slow
def test_peers_are_compared_and_those_that_fail_are_left_out_with_a_note(stand_ins: Path, tmp_path: Path) -> None:
    peers = {
        "good": Part(target="steady", parameters={"value": 2.0}, module="json", in_it="nothing either"),
        "broken": Part(target="does_not_start", module="json"),
        "unlucky": Part(target="stops", module="json"),
        "stuck": Part(target="hangs", module="json", timeout=2.0),
    }

    result = run_row(row_of(stand_ins, peers=peers, runs=3), tmp_path, peers=stand_ins)

    assert result.peers == {"good": 2.0}
    assert result.peer_ratios == {"good": 3.0}
    assert result.in_it == {"tickdeck": "nothing", "good": "nothing either"}
    assert result.notes == (
        "broken ended: exit code 1, RuntimeError: no such device",
        "unlucky ended: exit code 9, out of luck",
        "stuck did not answer within 2 s",
    )


def test_ratios_are_inverted_if_less_is_better(stand_ins: Path, tmp_path: Path) -> None:
    peers = {"slower": Part(target="steady", parameters={"value": 12.0}, module="json")}

    result = run_row(row_of(stand_ins, peers=peers, more_is_better=False), tmp_path, peers=stand_ins)

    assert result.peer_ratios == {"slower": 2.0}


def test_a_failure_of_our_own_measurement_is_an_error(stand_ins: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkerFailed, match="no such device"):
        run_row(row_of(stand_ins, "does_not_start"), tmp_path)
    with pytest.raises(WorkerFailed, match="out of luck"):
        run_row(row_of(stand_ins, "stops"), tmp_path)


def test_latencies_have_microsecond_resolution_up_to_a_second() -> None:
    latencies = Latencies()
    for us in range(99):
        latencies.add(us * 1_000 + 500)
    latencies.add(3_000_000_000)

    assert latencies.quantile_ms(0.5) == 0.050
    assert latencies.quantile_ms(0.99) == 0.099
    assert latencies.quantile_ms(1.0) == 3_000.0


def test_memory_refuses_a_disk_without_room(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="free some space"):
        open_session("tickdeck.interfaces.bench.memory:memory", {"count": sys.maxsize, "folder": str(tmp_path)})
