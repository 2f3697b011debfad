"""``tickdeck runs``, and runs that are running, empty, damaged or of a newer version."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path

from tickdeck.bootstrap import start_run
from tickdeck.domain.events import RunStarted
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.runs import find_run


def test_runs_lists_one_run_per_line_the_oldest_first(tickdeck, lines):
    made = [json.loads(tickdeck("run", "--for", n, "--speed", "max", "--json").stdout) for n in (2, 1)]

    listed = lines(tickdeck("runs", "--json"))

    assert [run["run"] for run in listed] == [run["run"] for run in made]
    assert [run["events"] for run in listed] == [run["events"] for run in made]
    assert [run["inputs"] for run in listed] == [run["inputs"] for run in made]
    assert listed[0]["status"] == "completed"
    assert listed[0]["strategies"] == ["ema-cross"]
    assert listed[0]["symbols"] == ["BTCUSDT"]
    assert listed[0]["parameters"] == {"ema-cross": {"fast": 12, "slow": 26, "quantity": "0.01"}}
    figures = listed[0]["figures"]
    assert (figures["currency"], figures["fills"]) == ("USDT", made[0]["fills"])
    assert Decimal(figures["pnl"]) == Decimal(made[0]["pnl"])
    assert listed[0]["tape"] == made[0]["tape"]
    assert listed[0]["created_at"] <= listed[1]["created_at"]


def test_a_folder_whose_manifest_is_gone_is_told(tickdeck):
    run = json.loads(tickdeck("run", "--for", 1, "--speed", "max", "--json").stdout)["run"]
    manifest = Path("tickdeck-data") / run / "manifest.json"
    manifest.unlink()

    listed, shown = tickdeck("runs"), tickdeck("show", run)

    told = f"run {run} has a tape, but no manifest.json in tickdeck-data/{run}; restore the file from a copy"
    assert told in listed.stderr
    assert listed.exit_code == 0
    assert told in shown.stderr
    assert shown.exit_code == 2


def test_runs_are_removed_all_or_none(tickdeck, lines):
    first, second, third = (
        json.loads(tickdeck("run", "--for", 1, "--speed", "max", "--json").stdout)["run"] for _ in range(3)
    )

    refused = tickdeck("runs", "rm", first, "absent")
    assert refused.exit_code == 2
    assert "there is no run 'absent'" in refused.stderr
    assert len(lines(tickdeck("runs", "--json"))) == 3

    removed = tickdeck("runs", "rm", first, second)
    assert (removed.exit_code, removed.stdout) == (0, "")
    assert [run["run"] for run in lines(tickdeck("runs", "--json"))] == [third]


def test_a_run_that_is_running_is_not_removed(tickdeck, tmp_path):
    data = tmp_path / "tickdeck-data"
    ended = start_run(RunConfig(), data)
    ended.close()
    running = start_run(RunConfig(), data)

    result = tickdeck("runs", "rm", ended.folder.name, running.folder.name)
    running.close()

    assert result.exit_code != 0
    assert f"run {running.folder.name} is running" in result.stderr
    assert ended.folder.is_dir()
    assert running.folder.is_dir()
    assert tickdeck("runs", "rm", ended.folder.name, running.folder.name).exit_code == 0


def test_people_see_the_runs_as_a_table(tickdeck, simulated):
    result = tickdeck("runs", "--data", simulated)

    assert "completed" in result.stdout
    assert "drawdown" in result.stdout
    assert "USDT" in result.stdout
    assert "ema-cross(fast=12, slow=26, quantity=0.01) on BTCUSDT, ETHUSDT" in " ".join(result.stdout.split())


def test_runs_shows_the_figures_of_the_backtest(tickdeck, capture, lines):
    parameters = ("--param", "fast=3", "--param", "slow=9")
    told = json.loads(tickdeck("backtest", "--tape", capture, *parameters, "--json").stdout)

    (run,) = lines(tickdeck("runs", "--json"))

    assert run["figures"]["trades"] == told["trades"] > 0
    assert run["figures"]["max_drawdown"] == told["max_drawdown"] > 0
    assert Decimal(run["figures"]["pnl"]) == Decimal(told["pnl"])
    assert run["parameters"]["ema-cross"]["fast"] == 3


def test_without_runs_people_are_told_how_to_begin(tickdeck):
    result = tickdeck("runs")

    assert result.exit_code == 0
    assert result.stdout == ""
    assert "`tickdeck run`" in result.stderr


def test_a_run_that_is_being_written_is_running_and_then_interrupted(tickdeck, tmp_path, lines):
    run = start_run(RunConfig(), tmp_path / "tickdeck-data")
    empty = lines(tickdeck("runs", "--json"))
    run.kernel.feed(RunStarted(ts=1, ts_ingress=1))
    run.close()

    after = lines(tickdeck("runs", "--json"))

    assert [run["status"] for run in empty + after] == ["running", "interrupted"]


def test_a_run_without_a_tape_is_empty_and_every_command_says_so(tickdeck, simulated, lines):
    run = find_run(simulated, "last")
    folder = Path("tickdeck-data") / run.name
    folder.mkdir(parents=True)
    shutil.copy(run / "manifest.json", folder)

    assert [run["status"] for run in lines(tickdeck("runs", "--json"))] == ["empty"]
    for words in (["verify"], ["events"], ["trace", "1"], ["book"]):
        command, *more = words
        result = tickdeck(command, "last", *more)
        assert result.exit_code == 2, words
        assert f"the tape of run {run.name} is missing; restore tickdeck-data/{run.name} from" in result.stderr

    shutil.copy(run / "end.json", folder)
    for words in (["verify"], ["events"]):
        result = tickdeck(words[0], "last")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert "is gone or empty, although the run went on to seq" in result.stderr


def test_a_damaged_manifest_is_skipped_with_a_note(tickdeck, simulated, lines):
    run = find_run(simulated, "last")
    for name, text in (("good", (run / "manifest.json").read_text()), ("bad", "{")):
        folder = Path("tickdeck-data") / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(text)

    result = tickdeck("runs", "--json")
    opened = tickdeck("events", "tickdeck-data/bad")

    assert len(lines(result)) == 1
    assert "skipped" in result.stderr
    assert "bad" in result.stderr
    assert opened.exit_code == 2
    assert opened.stderr.count("\n") == 1


def test_a_newer_tape_is_a_wrong_call(tickdeck, simulated):
    import sqlite3
    from contextlib import closing

    run = find_run(simulated, "last")
    folder = Path("tickdeck-data") / "newer"
    folder.mkdir(parents=True)
    for name in ("manifest.json", "tape.db"):
        shutil.copy(run / name, folder)
    with closing(sqlite3.connect(folder / "tape.db")) as tape:
        tape.execute("PRAGMA user_version = 99")

    result = tickdeck("events", "tickdeck-data/newer")

    assert result.exit_code == 2
    assert "install a newer one" in result.stderr


def test_a_data_folder_that_is_a_file_is_a_wrong_call(tickdeck):
    Path("file").write_text("")

    result = tickdeck("runs", "--data", "file")

    assert result.exit_code == 2
    assert "--data" in result.stderr
