"""``tickdeck events`` on a short run of two simulated symbols, and the catalogue of event types."""

from __future__ import annotations

import pytest

from tickdeck.bootstrap import start_run
from tickdeck.domain.events import RunStarted, RunStopped, event_types
from tickdeck.infrastructure.config import RunConfig

HEAD = ["seq", "event_id", "event_type", "ts", "aggregate_id", "correlation_id", "causation_id"]


def test_events_lists_everything_in_order_with_the_promised_keys_first(tickdeck, simulated, record, lines):
    listed = lines(tickdeck("events", "last", "--data", simulated, "--json"))

    assert [event["seq"] for event in listed] == list(range(1, len(record) + 1))
    assert [list(event)[: len(HEAD)] for event in listed] == [HEAD] * len(listed)
    assert {k: listed[6][k] for k in record[6].payload} == record[6].payload


def test_the_catalogue_lists_every_type_with_class_group_and_description(tickdeck, lines):
    listed = lines(tickdeck("events", "--catalogue", "--json"))

    assert [list(entry) for entry in listed] == [["type", "class", "group", "line"]] * len(listed)
    entries = {entry["type"]: entry for entry in listed}
    assert set(entries) == set(event_types())
    assert entries["order.amended"]["class"] == "OrderAmendedEvent"
    assert entries["order.amended"]["group"] == "orders"
    assert "Emitted by" in entries["order.amended"]["line"]


def test_people_see_the_catalogue_grouped_one_line_per_type(tickdeck):
    result = tickdeck("events", "--catalogue", "--type", "trading.*", "--type", "feed.stale")

    heads = [line.split()[:2] for line in result.stdout.splitlines()]
    assert heads == [
        ["--", "feed"],
        ["feed.stale", "FeedStale"],
        ["--", "risk"],
        ["trading.halted", "TradingHalted"],
        ["trading.resumed", "TradingResumed"],
    ]


def test_an_empty_selection_of_the_catalogue_is_reported(tickdeck):
    result = tickdeck("events", "--catalogue", "--type", "oder.*")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "there is no event type 'oder.*'" in result.stderr


def test_types_with_a_comma_are_named_by_repeating_the_option(tickdeck):
    result = tickdeck("events", "--catalogue", "--type", "order.*,risk.*")
    assert "there is no event type 'order.*,risk.*'; repeat --type for each type" in result.stderr


def test_events_without_a_run_is_refused_with_advice(tickdeck):
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


def test_people_get_one_line_per_event_below_its_day(tickdeck, simulated):
    result = tickdeck("events", "last", "--type", "order.submitted", "--limit", 2, "--data", simulated)

    day, first, second = result.stdout.splitlines()
    assert day == "-- 2024-01-01 UTC"
    assert first.split()[0] < second.split()[0]
    assert "order.submitted" in first
    assert "buy 0.01 at market" in first


def test_a_misspelt_type_is_reported(tickdeck, simulated):
    result = tickdeck("events", "last", "--type", "order.submited", "--data", simulated)

    assert result.exit_code == 0
    assert result.stdout == ""
    assert "no event type 'order.submited'" in result.stderr


def test_a_known_type_without_events_is_not_a_mistake(tickdeck, simulated):
    result = tickdeck("events", "last", "--type", "trading.halted", "--data", simulated)

    assert (result.exit_code, result.output) == (0, "tickdeck: no event matches\n")


def test_a_symbol_that_the_run_does_not_have_is_reported(tickdeck, simulated):
    result = tickdeck("events", "last", "--symbol", "NOPE", "--data", simulated)

    assert "the run has no symbol 'NOPE'; it has BTCUSDT, ETHUSDT" in result.stderr


def test_the_nearest_type_is_named(tickdeck, simulated):
    assert (
        "did you mean 'order.filled'?" in tickdeck("events", "last", "--type", "order.fild", "--data", simulated).stderr
    )
    assert "try " in tickdeck("events", "last", "--type", "xyz", "--data", simulated).stderr


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_an_invalid_time_is_a_wrong_call(tickdeck, simulated, option):
    result = tickdeck("events", "last", option, "yesterday", "--data", simulated)

    assert result.exit_code == 2
    assert "'yesterday' is not a time" in result.stderr
    assert result.stderr.count("\n") == 1


def test_follow_of_a_run_that_has_ended_lists_it_and_ends(tickdeck, simulated, record, lines):
    listed = lines(tickdeck("events", "last", "--follow", "--type", "run.*", "--data", simulated, "--json"))

    assert [event["event_type"] for event in listed] == ["run.started", "run.stopped"]


def test_follow_waits_for_new_events_of_a_running_run(tickdeck, tmp_path, monkeypatch, lines):
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


@pytest.mark.parametrize("command", [("events", "last"), ("export", "last", "--format", "csv", "--out", "x.csv")])
def test_a_start_after_the_end_is_refused(tickdeck, simulated, command):
    result = tickdeck(*command, "--from", "2025-01-02", "--to", "2025-01-01", "--data", simulated)

    assert result.exit_code == 2
    assert "--from is after --to; swap the two" in result.stderr
