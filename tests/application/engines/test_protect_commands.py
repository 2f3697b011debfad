"""Stops and targets that are set, moved and refused: the commands ``protect``, ``unprotect`` and ``submit``."""

from __future__ import annotations

from typing import Any

import pytest
from application_kit import BTC, Core, D
from protection_kit import cancelled, ended, entered, exits, shape
from risk_kit import Puppet, do

from tickdeck.domain.events import (
    CommandReceived,
    ProtectionSetEvent,
    RiskLimitBreachedEvent,
)
from tickdeck.domain.values import OrderStatus


def test_protect_moves_a_stop_and_keeps_what_is_left_out() -> None:
    core, puppet = entered("1", stop_loss=D(95), take_profit=D(110))
    do(core, puppet, lambda s: s.protect(BTC, stop_loss=D(99)))
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert shape(exits(core)[1]) == ("sell", D(1), D(99), D(110))


@pytest.mark.parametrize(
    ("side", "limit", "terms", "why"),
    [
        ("buy", None, {"stop_loss": D(100)}, "stop_loss is 100; it must be below the last price, 100"),
        ("buy", None, {"take_profit": D(99)}, "take_profit is 99; it must be above the last price, 100"),
        ("sell", None, {"stop_loss": D(99)}, "stop_loss is 99; it must be above the last price, 100"),
        ("sell", None, {"take_profit": D(101)}, "take_profit is 101; it must be below the last price, 100"),
        ("buy", "104", {"stop_loss": D(102)}, "stop_loss is 102; it must be below the last price, 100"),
        ("buy", None, {"trailing": D(200)}, "trailing is 200, a distance; it must be less than the last price, 100"),
        ("sell", None, {"trailing": D(200)}, None),
        ("buy", "98", {"stop_loss": D(97), "take_profit": D(99)}, None),  # a target below the market, but not the entry
        ("buy", None, {"stop_loss": D(99), "take_profit": D(101), "trailing": "1%"}, None),
    ],
)
def test_an_entry_whose_stop_or_target_is_passed_is_refused(
    side: str, limit: str | None, terms: dict[str, Any], why: str | None
) -> None:
    puppet = Puppet()
    core = Core({"puppet": puppet}, short_selling=True).start().trades("100")
    do(core, puppet, lambda s: getattr(s, side)(BTC, D(1), limit=D(limit) if limit else None, **terms))

    refused = [e for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent)]
    assert [(e.limit, e.detail) for e in refused] == ([("protection", why)] if why else [])
    assert len(core.orders) == (0 if why else 1)


def test_submit_refuses_a_stop_that_is_passed() -> None:
    core = Core({"puppet": Puppet()}).start().trades("100")
    arguments = {"side": "buy", "symbol": BTC, "quantity": "1", "stop_loss": "120"}
    core.feed(CommandReceived(command="submit", arguments=arguments))

    assert core.orders == []
    assert core.of("risk.limit_breached")[0].payload["limit"] == "protection"


def test_a_sale_that_only_reduces_needs_no_stop_for_a_short() -> None:
    core, puppet = entered("1")
    do(core, puppet, lambda s: s.sell(BTC, D(1), stop_loss=D(99)))

    assert core.orders[-1].reduce_only


def test_an_entry_is_not_amended_beyond_its_stop() -> None:
    core, puppet = entered(limit="98", stop_loss=D(95))
    core.report(core.orders[0], OrderStatus.ACCEPTED)
    do(core, puppet, lambda s: s.amend(core.orders[0].order_id, limit=D(94)))

    (refused,) = [e for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent)]
    assert refused.detail == "stop_loss is 95; it must be below the limit of the order, 94"


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"stop_loss": D(101)}, "its stop would be 101, which the last price, 100, has passed"),
        ({"take_profit": D(100)}, "its target would be 100, which the last price, 100, has passed"),
        ({"trailing": D(2)}, "its trailing stop would be 103, which the last price, 100, has passed"),
        ({"trailing": D(104)}, "trailing is 104, a distance; it must be less than the last price, 100"),
    ],
)
@pytest.mark.parametrize("is_by_operator", [False, True])
def test_protect_refuses_what_is_passed_and_changes_nothing(
    terms: dict[str, Any], why: str, is_by_operator: bool
) -> None:
    core, puppet = entered("1", stop_loss=D(95), trailing=D(50))
    core.trades("105", "100")
    if is_by_operator:
        arguments = {"symbol": BTC} | {name: str(value) for name, value in terms.items()}
        core.feed(CommandReceived(command="protect", arguments=arguments))
        assert core.of("system.warning")[0].to_dict()["message"] == f"protect: {why}"
    else:
        do(core, puppet, lambda s: s.protect(BTC, **terms))
        assert [e.detail for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent)] == [why]

    assert [shape(order) for order in exits(core)] == [("sell", D(1), D(95), None)]
    assert cancelled(core) == []


def test_protect_refuses_a_passed_stop_for_a_position_that_has_none() -> None:
    core, puppet = entered("1")
    do(core, puppet, lambda s: s.protect(BTC, stop_loss=D(101)))

    assert exits(core) == []
    assert core.of("risk.limit_breached")[0].payload["detail"].endswith("it must be below the last price, 100")


def test_protect_sets_a_stop_on_a_position_that_has_none() -> None:
    core, puppet = entered("1")
    do(core, puppet, lambda s: s.protect(BTC, stop_loss="10%"))

    assert [shape(order) for order in exits(core)] == [("sell", D(1), D(90), None)]


def test_unprotect_cancels_the_exit_and_keeps_the_position() -> None:
    core, puppet = entered("1", stop_loss=D(95))
    do(core, puppet, lambda s: s.unprotect(core.orders[0].order_id))
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert ended(core) == ["removed"]
    assert len(core.orders) == 2
    assert core.risk.exposure.position(BTC) == 1


def test_unprotect_says_that_a_position_has_no_stop() -> None:
    core, puppet = entered("1")
    order_id = core.orders[0].order_id
    for arguments in ({"symbol": BTC}, {"order_id": order_id}, {"symbol": "ETHUSDT"}):
        core.feed(CommandReceived(command="unprotect", arguments=arguments))
    do(core, puppet, lambda s: s.unprotect(BTC))

    assert [warning.to_dict()["message"] for warning in core.of("system.warning")] == [
        f"unprotect: the position of {BTC} has no stop and no target",
        f"unprotect: the position of order {order_id} has no stop and no target",
        "unprotect: there is no position of ETHUSDT to protect",
    ]
    assert core.of("risk.limit_breached")[0].payload["detail"].endswith("has no stop and no target of this strategy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"symbol": BTC}, "protect: nothing to set; give stop_loss, take_profit, trailing or several of them"),
        ({"symbol": BTC, "stop_loss": "low"}, "protect: stop_loss is 'low'; give a number above 0, or a percentage"),
        ({"symbol": BTC, "stop_loss": "-1%"}, "protect: stop_loss is '-1%'; give a number above 0, or a"),
        ({"symbol": BTC, "stop_loss": "120"}, "protect: stop_loss is 120 and take_profit 110; the stop must be below"),
        ({"symbol": "ETHUSDT", "stop_loss": "1"}, "protect: there is no position of ETHUSDT to protect"),
        ({"order_id": "x", "stop_loss": "1"}, "protect: there is no position of order x to protect"),
    ],
)
def test_a_command_that_cannot_protect_says_why(arguments: dict[str, str], message: str) -> None:
    core, _ = entered("1", stop_loss=D(95), take_profit=D(110))
    core.feed(CommandReceived(command="protect", arguments=arguments))

    (warning,) = core.of("system.warning")
    assert warning.to_dict()["message"].startswith(message)
    assert len([e for e in core.tape.events if isinstance(e, ProtectionSetEvent)]) == 1


def test_an_operator_moves_a_stop() -> None:
    core, _ = entered("1", stop_loss=D(95))
    core.feed(CommandReceived(command="protect", arguments={"symbol": BTC, "stop_loss": "97", "trailing": "1%"}))
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert exits(core)[1].stop == D(99)
