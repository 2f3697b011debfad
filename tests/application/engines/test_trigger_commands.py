"""Triggers that are created, changed and deleted by commands while the run works."""

from __future__ import annotations

import pytest
from application_kit import BTC, SECOND, START, trade
from trigger_kit import HOUR, command, fired, run, topics, wish

from tickdeck.errors import ConfigError


def test_a_trigger_is_created_changed_and_deleted_by_commands() -> None:
    core = run().trades("9")

    assert command(core, "create", when="price > 10", then="notify", expires="1h") == []
    core.trades("11")
    assert len(fired(core)) == 1
    assert command(core, "update", when="price > 20") == []
    core.trades("11", "21")
    assert len(fired(core)) == 2
    settings = core.triggers.triggers["t"].settings
    assert settings is not None
    assert settings.expires == START + SECOND + HOUR
    assert command(core, "delete") == []
    assert core.triggers.triggers == {}
    assert topics(core) == set()
    assert command(core, "delete") == ["trigger-delete: this run has no trigger 't'; it has: none"]


def test_a_condition_that_holds_already_fires_at_once() -> None:
    core = run().trades("11")

    assert command(core, "create", when="price > 10", then="halt") == []
    assert fired(core) == [("t", {"price": "11"})]
    assert len(core.of("trading.halted")) == 1


def test_an_update_sets_the_timer_for_its_time_of_day() -> None:
    core = run(wish("price > 100")).trades("9")
    for time in ("18:00", "16:00"):
        assert command(core, "update", when=f"price > 100 or time >= {time} UTC") == []
    core.feed(trade("9", ts=START + 19 * HOUR))

    [event] = core.of("trigger.fired")
    assert event.ts == START + 16 * HOUR
    assert [timer.ts for timer in core.of("timer.fired")] == [START + 16 * HOUR]  # that of 18:00 was cancelled


def test_a_trigger_that_expired_is_updated_with_a_later_time() -> None:
    core = run(wish("price > 10", expires="5s")).trades("9")
    core.feed(trade("9", ts=START + 6 * SECOND))

    [warning] = command(core, "update", when="price > 8")
    assert warning.endswith("expires is 2024-08-09T00:00:05.000000000Z, which is over; give a later time")
    assert command(core, "update", when="price > 8", expires="1h") == []
    assert len(fired(core)) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"then": "halt"}, "there is no when; give it"),
        ({}, "there is no when and no then; give it"),
        ({"when": "price >", "then": "halt"}, "when: condition 'price >', column 8: the condition ends"),
        ({"when": "price > 1", "then": "stop"}, "then: there is no action 'stop'"),
        ({"when": "price > 1", "then": "halt", "account": "x"}, "account: this run has no account 'x'"),
        ({"when": "1 > 2", "then": "halt"}, "when: 1 > 2: nothing in it ever changes; name a value such as price"),
        ({"when": "price(BTCUSD) > 1", "then": "halt"}, "when: price(BTCUSD): 'BTCUSD' is not a symbol of this run"),
        ({"when": "price > 1", "then": "close BTCUSD"}, "then: 'BTCUSD' is not a symbol of this run"),
        ({"when": "rsi(14) > 1", "then": "halt"}, "when: this run does not compute rsi(14); name it in the config"),
        ({"when": "signal(x) > 1", "then": "halt"}, "when: this run does not compute signal(x)"),
        ({"when": "close(1h) > 1", "then": "halt"}, "when: this run builds no candles of 1h"),
        ({"when": "pnl(dip) > 1", "then": "halt"}, "when: pnl(dip): this run has no strategy 'dip'; it has: quiet"),
        ({"when": "pnl(quiet) > 1", "then": "halt"}, "when: this run does not follow pnl(quiet); name it in the"),
        ({"when": "price > 1", "then": "pause dip"}, "then: this run has no strategy 'dip'; it has: quiet"),
        ({"when": "price > 1", "then": "halt", "once": "no"}, "once is 'no'; give true or false"),
        ({"when": "price > 1", "then": "halt", "evry": "1s"}, "there is no argument 'evry'"),
        ({"when": "price > 1", "then": "halt", "every": "1s"}, "every is the least time between two firings"),
        ({"when": "price > 1", "then": "halt", "expires": "soon"}, "'soon' is not a time; give one such as 2024"),
        ({"when": "price > 1", "then": "halt", "expires": "2020-01-01"}, "expires is '2020-01-01', which is over"),
        ({"when": "price > 1", "then": "halt", "expires": "9999-12-31"}, "give a time from 1970 to 2261"),
        ({"when": "price > 1", "then": "halt", "expires": "99999d"}, "is too long; give at most 36500d"),
        ({"when": "price > 1", "then": "halt", "once": "false", "every": "9" * 30 + "d"}, "give at most 36500d"),
    ],
)
def test_a_command_that_cannot_be_carried_out_changes_nothing(arguments: dict[str, str], told: str) -> None:
    core = run().trades("9")

    [warning] = command(core, "create", **arguments)

    assert warning.startswith("trigger-create: ")
    assert told in warning
    assert core.triggers.triggers == {}


def test_a_name_is_taken_once_and_has_no_blanks() -> None:
    core = run(wish("price > 100"))

    assert "there is a trigger 't' already" in command(core, "create", when="price > 1", then="halt")[0]
    assert "'a b' is no name" in command(core, "create", "a b", when="price > 1", then="halt")[0]


def test_a_run_with_several_symbols_needs_one_in_the_condition() -> None:
    with pytest.raises(ConfigError, match=r"trigger t: when: price: this run has several symbols; name one"):
        run(wish("price > 1"), symbols=(BTC, "ETHUSDT"))

    core = run(wish("price(ETHUSDT) > 5"), symbols=(BTC, "ETHUSDT")).trades("10")
    assert fired(core) == []
    core.feed(trade("6", symbol="ETHUSDT"))
    assert len(fired(core)) == 1


def test_an_update_to_a_trigger_that_fires_once_drops_the_time_between_firings() -> None:
    core = run(wish("price > 100", once=False, every="10s"))

    assert command(core, "update", once="true") == []
    settings = core.triggers.triggers["t"].settings
    assert settings is not None
    assert (settings.once, settings.every) == (True, 0)
