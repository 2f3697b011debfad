"""``tickdeck run`` and ``backtest``: results, options, parameters and wrong calls."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

# fmt: off
PROMISED = {
    "run", "events", "inputs", "signals", "decisions", "orders", "fills", "rejected", "unknown", "dropped", "position",
    "cash", "pnl", "fees", "wall_s", "events_per_s", "latency_us", "tape",
}
# fmt: on
REPORTED = {"ticks_per_s", "sharpe", "sortino", "returns", "max_drawdown", "trades", "win_rate"}


def manifest_of(figures: dict) -> dict:
    return json.loads(Path(figures["tape"]).with_name("manifest.json").read_text())


def test_a_run_prints_one_json_object_with_the_promised_keys(tickdeck):
    result = tickdeck("run", "--for", 5, "--speed", "max", "--json")

    figures = json.loads(result.stdout)
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    assert result.stderr.count("\n") == result.stderr.count(f"tickdeck: run {figures['run']}") == 2  # begin and end
    assert set(figures) >= PROMISED
    assert set(figures["latency_us"]) == {"p50", "p99", "max"}
    assert figures["status"] == "completed"
    assert figures["halted"] is None
    assert Path(figures["tape"]) == Path.cwd() / "tickdeck-data" / figures["run"] / "tape.db"


def test_money_and_positions_are_strings_of_exact_decimals(tickdeck, buy_once):
    result = tickdeck("run", "--for", 3, "--speed", "max", "--strategy", buy_once, "--json")

    figures = json.loads(result.stdout)
    assert figures["position"] == {"BTCUSDT": "0.001"}
    for name in ("cash", "equity", "pnl", "fees"):
        assert re.fullmatch(r"-?\d+(\.\d*[1-9])?", figures[name]), name
    assert Decimal(figures["pnl"]) == Decimal(figures["equity"]) - 100_000
    assert Decimal(figures["fees"]) > 0
    assert Decimal(figures["cash"]) < 100_000


def test_a_backtest_adds_the_report_and_is_at_full_speed(tickdeck, trades):
    result = tickdeck("backtest", "--tape", trades, "--json")

    figures = json.loads(result.stdout)
    assert result.exit_code == 0
    assert set(figures) >= PROMISED | REPORTED
    assert figures["ticks"] == 200
    assert figures["wall_s"] < 19  # the time span of the file's trades


def test_a_backtest_without_recorded_data_is_a_wrong_call(tickdeck):
    result = tickdeck("backtest")

    assert result.exit_code == 2
    assert "--tape" in result.stderr
    assert not Path("tickdeck-data").exists()


def test_people_see_figures_assumptions_the_tape_and_the_next_command(tickdeck):
    result = tickdeck("run", "--for", 5, "--speed", "max")

    assert result.exit_code == 0
    assert "completed: duration reached" in result.stdout
    assert "100,000.00" in result.stdout
    assert "all assumptions: docs/paper-venue.md" in result.stdout
    assert "latencies: feed 10 ms" in result.stdout
    assert "/tape.db" in result.stdout
    assert "next  tickdeck verify last\n" in result.stdout
    assert "\x1b" not in result.output


def test_the_next_command_names_a_custom_data_folder(tickdeck):
    result = tickdeck("run", "--for", 1, "--speed", "max", "--data", "elsewhere")

    assert "next  tickdeck verify last --data elsewhere\n" in result.stdout


def test_a_backtest_shows_people_its_report(tickdeck, trades):
    result = tickdeck("backtest", "--tape", trades)

    assert re.search(r"trades \d+ closed, win rate", result.stdout)
    assert "max drawdown" in result.stdout


def test_options_override_the_configuration_file(tickdeck):
    Path("run.toml").write_text(
        'seed = 7\nduration = 2\nsymbols = ["ETHUSDT"]\n[[strategies]]\nspec = "rsi-reversion"\n'
    )

    result = tickdeck("run", "--config", "run.toml", "--seed", 9, "--speed", "max", "--strategy", "ema-cross", "--json")

    config = manifest_of(json.loads(result.stdout))["config"]
    assert (config["seed"], config["symbols"], config["duration"]) == (9, ["ETHUSDT"], "2")
    assert [strategy["spec"] for strategy in config["strategies"]] == ["ema-cross"]


def test_paths_in_a_configuration_file_are_relative_to_its_folder(tickdeck, buy_once, trades):
    folder = Path("conf")
    folder.mkdir()
    Path("mine.py").rename(folder / "mine.py")
    trades.rename(folder / trades.name)
    (folder / "run.toml").write_text(
        f'[[tapes]]\npath = "{trades.name}"\n'
        '[[strategies]]\nspec = "mine.py:BuyOnce"\nparameters = {quantity = "0.002"}\n'
    )

    result = tickdeck("backtest", "--config", "conf/run.toml", "--json")

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["fills"] == 1
    spec = manifest_of(json.loads(result.stdout))["config"]["strategies"][0]["spec"]
    assert spec == f"{Path.cwd() / 'conf' / 'mine.py'}:BuyOnce"


def test_a_parameter_goes_to_the_only_strategy(tickdeck, buy_once):
    result = tickdeck(
        "run", "--for", 3, "--speed", "max", "--strategy", buy_once, "--param", "quantity=0.005", "--json"
    )

    assert json.loads(result.stdout)["position"] == {"BTCUSDT": "0.005"}


def test_with_several_strategies_a_parameter_names_its_own(tickdeck, buy_once):
    strategies = ("--strategy", buy_once, "--strategy", buy_once)

    result = tickdeck("run", "--for", 3, "--speed", "max", *strategies, "--param", "BuyOnce-2.quantity=0.005", "--json")

    assert json.loads(result.stdout)["position"] == {"BTCUSDT": "0.006"}


@pytest.mark.parametrize(
    ("param", "told"),
    [
        ("quantity", "name=value"),
        ("=5", "name=value"),
        ("nobody.quantity=1", "no strategy 'nobody'"),
        ("speed=1", "no parameter 'speed'"),
        ("quantity=much", "quantity='much'"),
    ],
)
def test_a_wrong_parameter_is_reported_in_one_line(tickdeck, buy_once, param, told):
    result = tickdeck("run", "--strategy", buy_once, "--param", param)

    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_parameter_that_is_given_twice_is_refused(tickdeck):
    result = tickdeck("run", "--strategy", "ema-cross", "--param", "fast=3", "--param", "ema-cross.fast=4")

    assert result.exit_code == 2
    assert "--param 'ema-cross.fast=4': fast is given twice; leave one out" in result.stderr


def test_with_several_strategies_a_parameter_without_an_owner_is_refused(tickdeck):
    result = tickdeck("run", "--strategy", "ema-cross", "--strategy", "rsi-reversion", "--param", "fast=3")

    assert result.exit_code == 2
    assert "ema-cross.fast=3" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "--tape", "absent.csv"], "absent.csv"),
        (["run", "--config", "absent.toml"], "absent.toml"),
        (["run", "--strategy", "nonsense"], "'nonsense'"),
        (["run", "--strategy", "absent.py:Mine"], "absent.py"),
        (["run", "--strategy", "no.such.module:Mine"], "no.such.module"),
        (["run", "--exchange", "nowhere"], "give one of paper"),
        (["run", "--candles", "fortnight"], "fortnight"),
        (["run", "--speed", "fast"], "'fast' is not a valid speed"),
        (["run", "--speed", "0"], "'0' is not a valid speed"),
        (["run", "--speed", "inf"], "'inf' is not a valid speed"),
        (["run", "--for", "0"], "seconds above 0"),
        (["run", "--for", "soon"], "seconds above 0"),
        (["run", "--seed", "x"], "--seed"),
        (["run", "--resume", "nothing"], "'nothing'"),
        (["run", "--resume", "last"], "there are no runs"),
        (["run", "--resume", "last", "--for", "5", "--tape", "x"], "omit --"),
        (["run", "--param", "fast=0", "--speed", "max"], "fast is 0"),
        (["nonsense"], "nonsense"),
        (["run", "--nonsense"], "--nonsense"),
    ],
)
def test_a_wrong_call_is_reported_in_one_line_and_leaves_no_run(tickdeck, words, told):
    result = tickdeck(*words)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("tickdeck: error: ")
    assert result.stderr.count("\n") == 1
    assert told in result.stderr
    assert tickdeck("runs", "--json").stdout == ""


def test_a_data_folder_that_cannot_be_written_is_a_wrong_call(tickdeck):
    Path("file").write_text("")

    result = tickdeck("run", "--for", 1, "--data", "file/below")

    assert result.exit_code == 2
    assert "--data" in result.stderr


def test_the_symbol_option_names_the_symbol_of_a_nameless_file(tickdeck, trades):
    nameless = trades.rename(trades.with_name("market.csv"))

    refused = tickdeck("backtest", "--tape", nameless)
    result = tickdeck("backtest", "--tape", nameless, "--symbol", "SOLUSDT", "--json")

    assert refused.exit_code == 2
    assert "symbol" in refused.stderr
    assert json.loads(result.stdout)["position"] == {"SOLUSDT": "0"}
    assert json.loads(result.stdout)["ticks"] == 200


def test_a_symbol_that_no_file_has_is_refused_with_the_known_ones(tickdeck, trades):
    result = tickdeck("backtest", "--tape", trades, "--symbol", "ETHUSDT")

    assert result.exit_code == 2
    assert "no input file has market data of ETHUSDT; they have BTCUSDT" in result.stderr
    assert tickdeck("runs", "--json").stdout == ""


def test_the_tape_of_a_run_can_be_market_data_for_another(tickdeck):
    first = json.loads(tickdeck("run", "--for", 3, "--speed", "max", "--json").stdout)

    result = tickdeck("backtest", "--tape", Path(first["tape"]).parent, "--json")

    again = json.loads(result.stdout)
    assert again["ticks"] == first["ticks"]
    assert tickdeck("verify", "last").exit_code == 0


def test_the_tape_of_a_run_on_files_is_refused_because_it_contains_no_market_data(tickdeck, trades):
    first = json.loads(tickdeck("backtest", "--tape", trades, "--json").stdout)

    result = tickdeck("backtest", "--tape", first["tape"])

    assert result.exit_code == 2
    assert str(trades) in result.stderr


def test_without_uvloop_asyncios_own_loop_is_used(tickdeck, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "uvloop", None)

    assert tickdeck("run", "--for", 1, "--speed", "max", "--json").exit_code == 0


def test_orders_and_requested_events_are_logged_once_each(tickdeck, buy_once, tmp_path):
    (tmp_path / "run.toml").write_text(
        f'log_events = ["signal.*", "risk.*"]\nsymbols = ["BTCUSDT"]\n[[strategies]]\nspec = "{buy_once}"\n'
    )
    figures = tickdeck("run", "--config", "run.toml", "--for", 10, "--json")
    figures = json.loads(figures.stdout)
    types = [word for name in ("order.*", "position.*", "risk.*", "feed.*") for word in ("--type", name)]
    tape = tickdeck("events", figures["run"], "--json", *types)
    log = [json.loads(line) for line in (Path(figures["tape"]).parent / "log.jsonl").read_text().splitlines()]

    wanted = [(each["event_type"], each["event_id"]) for each in map(json.loads, tape.stdout.splitlines())]
    found = [(line["message"], line["event_id"]) for line in log if line["logger"] == "tickdeck.events"]
    assert len(wanted) > 3
    assert found == wanted
    assert tickdeck("verify", figures["run"]).exit_code == 0


def test_invalid_log_events_are_refused(tickdeck, tmp_path):
    (tmp_path / "run.toml").write_text('log_events = ["market candle"]\n')
    result = tickdeck("run", "--config", "run.toml", "--for", 1)
    assert result.exit_code == 2
    assert "log_events has 'market candle'" in result.stderr


@pytest.mark.parametrize("speed", ["2", "max", "0.5"])
def test_a_speed_is_refused_for_live_market_data(tickdeck, tmp_path, speed):
    result = tickdeck("run", "--exchange", "binance", "--url", "http://127.0.0.1:9", "--speed", speed)

    assert result.exit_code == 2
    assert "live market data comes in real time; omit --speed" in result.stderr
    assert not list(tmp_path.glob("runs/*"))
