"""``tickdeck events``, ``trace``, ``book``, ``runs``, ``verify`` on a short run of two simulated symbols."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from tickdeck.bootstrap import open_record, start_run
from tickdeck.domain.events import DomainEvent, RunStarted, RunStopped, event_types
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.runs import find_run
from tickdeck.infrastructure.tape import SqliteTape

HEAD = ["seq", "event_id", "event_type", "ts", "aggregate_id", "correlation_id", "causation_id"]


@pytest.fixture
def record(simulated: Path) -> list[DomainEvent]:
    return list(open_record(find_run(simulated, "last")))


# -- events -----------------------------------------------------------------------------------------------------------


def test_events_lists_all_of_them_in_order_with_the_promised_keys_first(tickdeck, simulated, record, lines):
    listed = lines(tickdeck("events", "last", "--data", simulated, "--json"))

    assert [event["seq"] for event in listed] == list(range(1, len(record) + 1))
    assert [list(event)[: len(HEAD)] for event in listed] == [HEAD] * len(listed)
    assert {k: listed[6][k] for k in record[6].payload} == record[6].payload


def test_the_catalogue_lists_every_type_with_its_class_group_and_line(tickdeck, lines):
    listed = lines(tickdeck("events", "--catalogue", "--json"))

    assert [list(entry) for entry in listed] == [["type", "class", "group", "line"]] * len(listed)
    entries = {entry["type"]: entry for entry in listed}
    assert set(entries) == set(event_types())
    assert entries["order.amended"]["class"] == "OrderAmendedEvent"
    assert entries["order.amended"]["group"] == "orders"
    assert "Emitted by" in entries["order.amended"]["line"]


def test_the_catalogue_is_a_line_a_type_under_a_line_a_group_for_people(tickdeck):
    result = tickdeck("events", "--catalogue", "--type", "trading.*", "--type", "feed.stale")

    heads = [line.split()[:2] for line in result.stdout.splitlines()]
    assert heads == [
        ["--", "feed"],
        ["feed.stale", "FeedStale"],
        ["--", "risk"],
        ["trading.halted", "TradingHalted"],
        ["trading.resumed", "TradingResumed"],
    ]


def test_a_part_of_the_catalogue_that_is_empty_is_told(tickdeck):
    result = tickdeck("events", "--catalogue", "--type", "oder.*")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "there is no event type 'oder.*'" in result.stderr


def test_events_without_a_run_is_refused_with_what_to_give(tickdeck):
    result = tickdeck("events")
    assert result.exit_code == 2
    assert "name a run, such as `last`" in result.stderr


def test_events_are_chosen_by_wildcards_of_several_types(tickdeck, simulated, record, lines):
    listed = lines(
        tickdeck("events", "last", "--type", "order.*", "--type", "run.started", "--data", simulated, "--json")
    )

    wanted = [e.seq for e in record if e.event_type.startswith("order.") or e.event_type == "run.started"]
    assert [event["seq"] for event in listed] == wanted
    assert len(wanted) > 3


def test_events_are_chosen_by_symbol_time_and_limit(tickdeck, simulated, record, lines):
    chosen = [e for e in record if getattr(e, "symbol", None) == "ETHUSDT"]
    first, last = chosen[10].ts_ingress, chosen[30].ts_ingress
    options = ("--symbol", "ETHUSDT", "--from", first, "--to", last, "--data", simulated, "--json")

    whole = lines(tickdeck("events", "last", *options))
    limited = lines(tickdeck("events", "last", *options, "--limit", 5))

    wanted = [e.seq for e in chosen if first <= e.ts_ingress <= last]
    assert [event["seq"] for event in whole] == wanted
    assert [event["seq"] for event in limited] == wanted[:5]


def test_times_may_be_given_in_iso_8601(tickdeck, simulated, lines):
    options = ("--from", "2024-01-01T00:00:05Z", "--to", "2024-01-01T00:00:05.5", "--data", simulated, "--json")

    listed = lines(tickdeck("events", "last", *options))

    times = [event["ts_ingress"] for event in listed]
    assert times
    assert min(times) >= 1_704_067_205_000_000_000
    assert max(times) <= 1_704_067_205_500_000_000


def test_people_get_a_line_an_event_below_its_day(tickdeck, simulated):
    result = tickdeck("events", "last", "--type", "order.submitted", "--limit", 2, "--data", simulated)

    day, first, second = result.stdout.splitlines()
    assert day == "-- 2024-01-01 UTC"
    assert first.split()[0] < second.split()[0]
    assert "order.submitted" in first
    assert "buy 0.01 at market" in first


def test_a_misspelt_type_is_told(tickdeck, simulated):
    result = tickdeck("events", "last", "--type", "order.submited", "--data", simulated)

    assert result.exit_code == 0
    assert result.stdout == ""
    assert "no event type 'order.submited'" in result.stderr


def test_a_type_that_exists_but_did_not_happen_is_no_mistake(tickdeck, simulated):
    result = tickdeck("events", "last", "--type", "trading.halted", "--data", simulated)

    assert (result.exit_code, result.output) == (0, "tickdeck: no event matches\n")


def test_a_symbol_that_the_run_does_not_have_is_told(tickdeck, simulated):
    result = tickdeck("events", "last", "--symbol", "NOPE", "--data", simulated)

    assert "the run has no symbol 'NOPE'; it has BTCUSDT, ETHUSDT" in result.stderr


def test_the_nearest_type_is_named(tickdeck, simulated):
    assert (
        "did you mean 'order.filled'?" in tickdeck("events", "last", "--type", "order.fild", "--data", simulated).stderr
    )
    assert "try " in tickdeck("events", "last", "--type", "xyz", "--data", simulated).stderr


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_a_time_that_is_none_is_a_wrong_call(tickdeck, simulated, option):
    result = tickdeck("events", "last", option, "yesterday", "--data", simulated)

    assert result.exit_code == 2
    assert "'yesterday' is not a time" in result.stderr
    assert result.stderr.count("\n") == 1


def test_follow_of_a_run_that_has_ended_lists_it_and_ends(tickdeck, simulated, record, lines):
    listed = lines(tickdeck("events", "last", "--follow", "--type", "run.*", "--data", simulated, "--json"))

    assert [event["event_type"] for event in listed] == ["run.started", "run.stopped"]


def test_follow_waits_for_what_a_running_run_adds(tickdeck, tmp_path, monkeypatch, lines):
    run = start_run(RunConfig(), tmp_path / "tickdeck-data")
    run.kernel.feed(RunStarted(ts=1, ts_ingress=1))
    run.tape.wait_durable(run.tape.last_seq)
    waits = []

    def goes_on(_: float) -> None:
        waits.append(run.kernel.seq)
        if len(waits) == 1:
            run.kernel.feed(RunStarted(ts=2, ts_ingress=2))
            run.tape.wait_durable(run.tape.last_seq)
        else:
            run.kernel.feed(RunStopped(ts=3, ts_ingress=3))
            run.close()

    monkeypatch.setattr("tickdeck.interfaces.cli.commands.events.time.sleep", goes_on)

    listed = lines(tickdeck("events", "last", "--follow", "--json"))

    times = [event["ts"] for event in listed]
    assert times == sorted(times)  # each start tells of a strategy's life, and sets its timers
    assert (times.count(1), times.count(3)) == (waits[0], 1)
    assert len(times) == waits[1] + 1


# -- trace ------------------------------------------------------------------------------------------------------------


def test_trace_gives_the_causes_and_the_tree_of_effects(tickdeck, simulated, record):
    fill = next(event for event in record if event.event_type == "order.filled")

    traced = json.loads(tickdeck("trace", "last", fill.event_id, "--data", simulated, "--json").stdout)

    assert traced["event"]["event_id"] == fill.event_id
    assert [cause["event_type"] for cause in traced["causes"]][:4] == [
        "venue.fill_reported",
        "order.submitted",
        "risk.approved",
        "strategy.decision",
    ]
    assert traced["causes"][-1]["event_type"].startswith("market.")
    assert traced["causes"][-1]["causation_id"] == ""
    assert [effect["event"]["event_type"] for effect in traced["effects"]] == [
        "position.opened",
        "balance.updated",
        "balance.updated",
        "state.updated",
    ]


def test_trace_goes_as_deep_as_it_is_asked_to(tickdeck, simulated, record):
    fill = next(event for event in record if event.event_type == "order.filled")

    traced = json.loads(
        tickdeck("trace", "last", fill.correlation_id, "--depth", 1, "--data", simulated, "--json").stdout
    )
    for_people = tickdeck("trace", "last", fill.correlation_id, "--depth", 1, "--data", simulated).stdout

    candle = traced["effects"][0]
    assert candle["event"]["event_type"] == "market.candle"
    assert (candle["effects"], candle["more"]) == ([], 2)
    assert "… more below" in for_people


def test_people_see_the_chain_and_the_tree(tickdeck, simulated, record):
    fill = next(event for event in record if event.event_type == "order.filled")

    shown = tickdeck("trace", "last", fill.event_id, "--data", simulated).stdout.splitlines()

    at = [
        line.index(kind)
        for line, kind in zip(shown, ["market.trade", "market.candle", "strategy.decision"], strict=False)
    ]
    assert at == sorted(at)
    (marked,) = (line for line in shown if " >" in line[:14])
    assert f"└ {fill.event_id} order.filled" in marked
    assert "├ " in shown[shown.index(marked) + 1]
    assert "└ " in shown[-1]


def test_an_event_that_does_not_exist_is_a_wrong_call(tickdeck, simulated):
    result = tickdeck("trace", "last", "0-0", "--data", simulated)

    assert result.exit_code == 2
    assert "no event '0-0'" in result.stderr


# -- book -------------------------------------------------------------------------------------------------------------


def test_book_shows_the_best_levels_with_the_digits_that_were_sent(tickdeck, simulated):
    book = json.loads(
        tickdeck("book", "last", "--symbol", "ETHUSDT", "--depth", 3, "--data", simulated, "--json").stdout
    )

    bids, asks = ([Decimal(price) for price, _ in book[side]] for side in ("bids", "asks"))
    assert list(book) == ["symbol", "ts", "last_update_id", "usable", "bids", "asks"]
    assert book["symbol"] == "ETHUSDT"
    assert len(bids) == len(asks) == 3
    assert sorted(bids, reverse=True) == bids
    assert sorted(asks) == asks
    assert bids[0] < asks[0]


def test_book_at_an_earlier_time_is_an_earlier_book(tickdeck, simulated):
    options = ("--symbol", "BTCUSDT", "--data", simulated, "--json")

    end = json.loads(tickdeck("book", "last", *options).stdout)
    before = json.loads(tickdeck("book", "last", *options, "--at", "2024-01-01T00:00:10Z").stdout)

    assert before["last_update_id"] < end["last_update_id"]
    assert before["ts"] <= 1_704_067_210_000_000_000 < end["ts"]


def test_people_see_both_sides_next_to_each_other(tickdeck, simulated):
    options = ("--symbol", "BTCUSDT", "--depth", 2, "--data", simulated)
    book = json.loads(tickdeck("book", "last", *options, "--json").stdout)

    head, titles, best, second = tickdeck("book", "last", *options).stdout.splitlines()

    assert head.startswith("BTCUSDT at 2024-01-01T00:00:")
    assert titles.split() == ["bid", "quantity", "bid", "ask", "ask", "quantity"]
    assert best.split() == [*reversed(book["bids"][0]), *book["asks"][0]]
    assert second.split() == [*reversed(book["bids"][1]), *book["asks"][1]]


def test_book_of_a_run_with_several_symbols_needs_one_of_them(tickdeck, simulated):
    unnamed = tickdeck("book", "last", "--data", simulated)
    unknown = tickdeck("book", "last", "--symbol", "SOLUSDT", "--data", simulated)

    assert (unnamed.exit_code, unknown.exit_code) == (2, 2)
    assert "BTCUSDT, ETHUSDT" in unnamed.stderr
    assert "'SOLUSDT'" in unknown.stderr


def test_before_the_first_snapshot_the_answer_is_no(tickdeck, simulated):
    result = tickdeck("book", "last", "--symbol", "BTCUSDT", "--at", 1, "--data", simulated, "--json")

    book = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (book["usable"], book["bids"], book["asks"]) == (False, [], [])
    assert "the record has no order book before that time" in result.stderr


def test_a_run_on_trades_alone_has_no_book(tickdeck, trades):
    tickdeck("backtest", "--tape", trades)

    result = tickdeck("book", "last")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "BTCUSDT has no usable book at the end of the tape" in result.stderr


# -- runs -------------------------------------------------------------------------------------------------------------


def test_runs_lists_a_run_a_line_the_oldest_first(tickdeck, lines):
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


def test_runs_shows_the_figures_that_the_backtest_showed(tickdeck, capture, lines):
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


def test_a_run_without_a_tape_is_empty_and_says_so_wherever_its_events_are_asked_for(tickdeck, simulated, lines):
    run = find_run(simulated, "last")
    folder = Path("tickdeck-data") / run.name
    folder.mkdir(parents=True)
    shutil.copy(run / "manifest.json", folder)

    assert [run["status"] for run in lines(tickdeck("runs", "--json"))] == ["empty"]
    for words in (["verify"], ["events"], ["trace", "1"], ["book"]):
        command, *more = words
        result = tickdeck(command, "last", *more)
        assert result.exit_code == 2, words
        assert "is still empty" in result.stderr

    shutil.copy(run / "end.json", folder)
    for words in (["verify"], ["events"]):
        result = tickdeck(words[0], "last")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert "is gone or empty, although the run went on to seq" in result.stderr


def test_a_damaged_manifest_is_passed_over_with_a_note(tickdeck, simulated, lines):
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


# -- verify -----------------------------------------------------------------------------------------------------------

LUCKY = """
import random
from decimal import Decimal
from tickdeck import Strategy

class Lucky(Strategy):
    def on_trade(self, trade):
        if trade.trade_id == 50:
            self.buy(trade.symbol, Decimal(random.randrange(1, 10**9)).scaleb(-12), reason="luck")
"""

SILENT = """
from decimal import Decimal
from pathlib import Path
from tickdeck import Strategy

class Silent(Strategy):
    def on_trade(self, trade):
        if (trade.trade_id == 50) == Path("odd").exists():
            self.buy(trade.symbol, Decimal("0.001"))
"""


def test_verify_of_an_honest_run_is_identical(tickdeck, simulated):
    figures = json.loads((simulated / "figures.json").read_text())

    result = tickdeck("verify", "last", "--data", simulated, "--json")

    verdict = json.loads(result.stdout)
    assert result.exit_code == 0
    assert verdict["identical"] is True
    assert verdict["first_divergence"] is None
    assert verdict["notes"] == []
    assert all(verdict[name] == figures[name] for name in ("run", "decisions", "orders", "events", "inputs"))
    assert verdict["decisions"] > 0


def test_people_are_told_what_was_proven(tickdeck, simulated):
    result = tickdeck("verify", "last", "--data", simulated)

    assert result.exit_code == 0
    assert "is identical: " in result.stdout


def test_a_strategy_that_uses_chance_is_caught_with_the_difference_and_its_causes(tickdeck):
    Path("lucky.py").write_text(LUCKY)
    tickdeck("run", "--strategy", "lucky.py:Lucky", "--for", 20, "--speed", "max")

    result = tickdeck("verify", "last", "--json")
    for_people = tickdeck("verify", "last")

    verdict = json.loads(result.stdout)
    first = verdict["first_divergence"]
    assert (result.exit_code, for_people.exit_code) == (1, 1)
    assert verdict["identical"] is False
    assert first["recorded"]["event_type"] == first["executed"]["event_type"] == "strategy.decision"
    assert first["recorded"]["intents"] != first["executed"]["intents"]
    assert [cause["event_type"] for cause in first["causes"]] == ["market.trade"]
    assert first["causes"][0]["trade_id"] == 50
    assert "NOT identical" in for_people.stdout
    assert "intents.0.quantity" in for_people.stdout
    assert "intents.0.symbol" not in for_people.stdout
    assert "causes, from the first input on:" in for_people.stdout


@pytest.mark.parametrize("first_odd", [True, False])
def test_an_event_on_one_side_alone_is_shown_with_what_caused_it(tickdeck, first_odd):
    Path("silent.py").write_text(SILENT)
    states = [lambda: Path("odd").write_text(""), lambda: Path("odd").unlink(missing_ok=True)]
    now, then = states if first_odd else states[::-1]
    now()
    tickdeck("run", "--strategy", "silent.py:Silent", "--for", 20, "--speed", "max")
    then()

    result = tickdeck("verify", "last", "--json")
    for_people = tickdeck("verify", "last").stdout

    first = json.loads(result.stdout)["first_divergence"]
    sides = [side["event_type"] if side else None for side in (first["recorded"], first["executed"])]
    assert result.exit_code == 1
    assert sides.count("strategy.decision") == 1
    assert [cause["event_type"] for cause in first["causes"]] == ["market.trade"]
    assert "about" in for_people
    assert "Silent BTCUSDT buy 0.001 at market" in for_people


def test_changed_code_is_noted(tickdeck):
    Path("lucky.py").write_text(LUCKY.replace("random.randrange(1, 10**9)", "7"))
    tickdeck("run", "--strategy", "lucky.py:Lucky", "--for", 5, "--speed", "max")
    with Path("lucky.py").open("a") as file:
        file.write("# a remark\n")

    result = tickdeck("verify", "last", "--json")
    for_people = tickdeck("verify", "last")

    assert result.exit_code == 0
    assert ["lucky.py" in text for text in json.loads(result.stdout)["notes"]] == [True]
    assert "note: " in for_people.stdout


def test_a_fault_of_the_run_is_not_told_again_by_verify(tickdeck):
    Path("broken.py").write_text(
        "from tickdeck import Strategy\nclass Broken(Strategy):\n    def on_trade(self, trade):\n        1 / 0\n"
    )
    tickdeck("run", "--strategy", "broken.py:Broken", "--for", 5, "--speed", "max")

    result = tickdeck("verify", "last")
    with_debug = tickdeck("verify", "last", "--debug")

    assert (result.exit_code, result.stderr) == (0, "")
    assert "ZeroDivisionError" in with_debug.stderr


def test_an_input_file_that_changed_since_is_told(tickdeck, trades):
    tickdeck("backtest", "--tape", trades)
    trades.write_text(trades.read_text() + "\n")

    for command in ("verify", "events"):
        result = tickdeck(command, "last")
        assert result.exit_code == 2, command
        assert "has changed" in result.stderr


def test_a_run_is_named_by_its_id_or_by_its_folder(tickdeck, simulated):
    folder = find_run(simulated, "last")

    assert tickdeck("verify", folder.name, "--data", simulated).exit_code == 0
    assert tickdeck("verify", folder).exit_code == 0
    assert tickdeck("verify", "20200101-000000-0000", "--data", simulated).exit_code == 2


def test_a_tape_that_is_not_closed_is_read_all_the_same(tickdeck, tmp_path, lines):
    run = start_run(RunConfig(), tmp_path / "tickdeck-data")
    assert isinstance(run.tape, SqliteTape)
    run.kernel.feed(RunStarted(ts=1, ts_ingress=1))
    run.tape.wait_durable(run.tape.last_seq)
    try:
        assert len(lines(tickdeck("events", "last", "--json"))) == run.kernel.seq
    finally:
        run.close()
