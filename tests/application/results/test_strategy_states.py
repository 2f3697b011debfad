"""The strategies of a run as its events tell them, and what ``show strategies`` says of them."""

from __future__ import annotations

from typing import Any

from application_kit import BTC, D, instrument
from risk_kit import buy, command, core_of, do

from tickdeck.application.results import RunQueries, StrategyStates, TradeJournal
from tickdeck.domain.events import StateLeg
from tickdeck.domain.risk import RiskLimits


def test_a_strategy_its_legs_and_what_it_said_are_the_same_live_and_from_the_record() -> None:
    core, puppet = core_of(RiskLimits())
    journal, states = TradeJournal(instrument), StrategyStates()
    journal.follow(core.kernel)
    states.follow(core.kernel)  # it joined late: it knows what follows
    do(core, puppet, buy("2"), lambda s: s.update_state({"mood": "calm"}, legs=(StateLeg(symbol=BTC, quantity=D(2)),)))
    core.fill(core.orders[0], "100")
    command(core, "strategy-pause", "lunch", strategy_id="puppet")
    again = StrategyStates()
    for event in core.tape.events:
        again.apply(event)

    def ask(known: StrategyStates) -> dict[str, Any]:
        queries = RunQueries(
            core, journal=lambda: journal, figures=lambda _: {}, health=lambda _: {}, states=lambda: known
        )
        (found,) = queries.answer("strategies", {"strategy": "puppet"})["strategies"]
        return found

    recorded = ask(again)
    assert (recorded["strategy_type"], recorded["role"], recorded["created_by"]) == ("Puppet", "entry", "configuration")
    assert (recorded["status"], recorded["reason"], recorded["open_orders"]) == ("paused", "lunch", 0)
    (leg,) = recorded["legs"]
    assert (leg["symbol"], leg["side"], leg["held"], leg["entry_price"]) == (BTC, "long", "2", "100")
    assert recorded["state"]["values"] == {"mood": "calm"}
    assert recorded["state"]["legs"] == [{"symbol": BTC, "quantity": "2", "average_price": None}]
    assert ask(states) == recorded | {"strategy_type": "", "created_by": "", "parameters": {}}


def test_a_deleted_strategy_is_still_listed_and_one_of_its_name_begins_anew() -> None:
    core, puppet = core_of(RiskLimits())
    do(core, puppet, lambda s: s.update_state({"mood": "calm"}))
    command(core, "strategy-delete", "enough", strategy_id="puppet")
    states = StrategyStates()
    for event in core.tape.events:
        states.apply(event)
    assert [(name, one.status.value) for name, one in states.definitions.items()] == [("puppet", "deleted")]
    assert states.said["puppet"].values == {"mood": "calm"}

    for event in (*core.of("strategy.created"), *core.of("strategy.activated")):
        states.apply(event)
    assert states.definitions["puppet"].status.value == "active"
    assert states.said == {}
