"""``tickdeck trace``: the causes and the effects of an event."""

from __future__ import annotations

import json


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


def test_trace_respects_the_depth_option(tickdeck, simulated, record):
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
