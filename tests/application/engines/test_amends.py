"""Amends end to end: the request of a strategy, the decision of risk, and the resulting order."""

from __future__ import annotations

import asyncio

import pytest
from application_kit import BTC, MS, Core, D, MemoryTape, ScriptedVenue

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import (
    ActionIntent,
    CommandReceived,
    OrderAmendedEvent,
    OrderAmendRejectedEvent,
    OrderSubmittedEvent,
    RiskLimitBreachedEvent,
    StrategyDecisionEvent,
    TradeEvent,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus
from tickdeck.errors import ConfigError, EventValidationError


class Amender(Strategy):
    """Places an order on the first trade, and amends it on the next ones as the test wants."""

    def __init__(self, limit: str | None = "100", quantity: str = "2") -> None:
        super().__init__()
        self.limit = limit
        self.quantity = quantity
        self.order_id = ""
        self.todo: list[dict[str, object]] = []
        self.heard: list[str] = []

    def on_trade(self, trade: TradeEvent) -> None:
        if not self.order_id:
            self.order_id = self.buy(BTC, D(self.quantity), D(self.limit) if self.limit else None)
        for wish in self.todo:
            self.amend(**{"order_id": self.order_id, **wish})  # type: ignore[arg-type]
        self.todo = []

    def on_order(self, order: object) -> None:
        self.heard.append(type(order).__name__)


def core_with(limits: RiskLimits = RiskLimits(), **order: str | None) -> tuple[Core, Amender]:  # noqa: B008 (frozen)
    amender = Amender(**order)  # type: ignore[arg-type]
    core = Core({"amender": amender}, limits=limits).start().trades("100")
    core.report(core.orders[0], OrderStatus.ACCEPTED)
    return core, amender


def amend(core: Core, amender: Amender, price: str = "100", **wish: object) -> Core:
    amender.todo.append(wish)
    return core.trades(price)


def refusals(core: Core) -> list[tuple[str, str]]:
    return [(e.limit, e.detail) for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent)]


def test_an_amend_reaches_the_venue_and_its_answer_reaches_the_strategy() -> None:
    core, amender = core_with()
    before = core.kernel.seq

    amend(core, amender, quantity=D("2.5"), limit=D("99.994"))
    (request,) = core.venue.amended
    core.answer(request)

    assert [t for t in core.types(before) if not t.startswith("market.")] == [
        "strategy.decision",
        "risk.approved",
        "order.amend_requested",
        "venue.order_reported",
        "order.amended",
    ]
    assert (request.quantity, request.limit, request.revision) == (D("2.5"), D("99.99"), 1)  # on the tick size
    order = core.execution.orders[amender.order_id]
    assert (order.quantity, order.limit) == (D("2.5"), D("99.99"))
    assert amender.heard[-2:] == ["OrderAmendRequestedEvent", "OrderAmendedEvent"]
    assert core.kernel.statistics().failures == 0


def test_fields_left_out_of_an_amend_stay_the_same() -> None:
    core, amender = core_with()
    amend(core, amender, limit=D(99))
    amend(core, amender, quantity=D(1))
    assert [(r.quantity, r.limit, r.revision) for r in core.venue.amended] == [(2, 99, 1), (1, 100, 2)]


def test_a_refused_amend_has_the_venues_reason() -> None:
    core, amender = core_with()
    amend(core, amender, limit=D(99))
    core.answer(core.venue.amended[0], granted=False, reason="amend refused: the order is filled")

    (event,) = (e for e in core.tape.events if isinstance(e, OrderAmendRejectedEvent))
    assert event.reason == "amend refused: the order is filled"
    assert not core.of("order.amended")


def test_a_fill_that_races_an_increase_halts_nothing() -> None:
    core, amender = core_with()
    amend(core, amender, quantity=D(5))

    core.fill(core.orders[0], "100", "3")
    core.answer(core.venue.amended[0])
    core.fill(core.orders[0], "100", "2")

    assert not core.kernel.halted
    assert core.execution.orders[amender.order_id].status is OrderStatus.FILLED
    assert core.execution.open_orders("amender") == ()
    assert core.portfolio.view(BTC).quantity == 5


def test_an_order_that_a_late_amend_reopens_is_open_again_until_it_is_filled() -> None:
    core, amender = core_with()
    amend(core, amender, quantity=D(5))
    core.fill(core.orders[0], "100", "2")
    assert core.execution.open_orders("amender") == ()

    core.answer(core.venue.amended[0])

    assert core.execution.open_orders("amender") == (amender.order_id,)
    assert [e.remaining for e in core.tape.events if isinstance(e, OrderAmendedEvent)] == [3]


# -- risk -------------------------------------------------------------------------------------------------------


def test_an_amend_of_an_ended_order_is_refused_with_the_reason() -> None:
    core, amender = core_with()
    core.fill(core.orders[0], "100")
    amend(core, amender, quantity=D(5))

    assert refusals(core) == [("order", f"order {amender.order_id} is filled")]
    assert core.venue.amended == []


def test_an_amend_of_another_strategys_order_is_refused() -> None:
    core, amender = core_with()
    amend(core, amender, order_id="tdnever", quantity=D(5))
    assert refusals(core) == [("order", "this strategy has no order tdnever at a venue")]


def test_a_market_order_cannot_be_amended() -> None:
    core, amender = core_with(limit=None)
    amend(core, amender, quantity=D(5))
    assert refusals(core) == [("order", f"order {amender.order_id} is a market order")]


def test_an_amend_to_no_more_than_what_is_filled_is_refused() -> None:
    core, amender = core_with()
    core.fill(core.orders[0], "100", "1")
    amend(core, amender, quantity=D(1))
    assert refusals(core)[0][1].endswith("cancel the rest")


@pytest.mark.parametrize(
    ("limits", "wish", "name"),
    [
        (RiskLimits(max_order_notional=D(300)), {"quantity": D("3.001")}, "max_order_notional"),
        (RiskLimits(max_position_notional=D(300)), {"quantity": D("3.001")}, "max_position_notional"),
        (RiskLimits(price_band=D("0.05")), {"limit": D("105.01")}, "price_band"),
        (RiskLimits(), {"limit": D("0.001")}, "instrument"),
        (RiskLimits(max_orders_per_second=1), {"quantity": D(1)}, "max_orders_per_second"),
    ],
)
def test_an_amend_is_judged_as_the_resulting_order(limits: RiskLimits, wish: dict[str, object], name: str) -> None:
    core, amender = core_with(limits)
    if name == "max_orders_per_second":
        amender.todo.append({"quantity": D(1)})
    amend(core, amender, **wish)
    assert [limit for limit, _ in refusals(core)] == [name]


def test_an_amend_up_to_the_position_limit_passes_because_it_replaces_its_order() -> None:
    core, amender = core_with(RiskLimits(max_position_notional=D(300)))
    core.fill(core.orders[0], "100", "1")
    amend(core, amender, quantity=D(3))
    assert refusals(core) == []
    assert len(core.venue.amended) == 1


def test_an_increase_that_is_on_its_way_counts_against_the_position_limit() -> None:
    core, amender = core_with(RiskLimits(max_position_notional=D(300)))
    amend(core, amender, quantity=D(3))
    amender.order_id = ""  # so that it buys again
    core.trades("100")
    assert [limit for limit, _ in refusals(core)] == ["max_position_notional"]


def test_nothing_is_amended_while_trading_is_halted() -> None:
    core, amender = core_with()
    core.feed(CommandReceived(command="halt"))
    amend(core, amender, limit=D(99))
    assert [limit for limit, _ in refusals(core)] == ["trading_halted"]


# -- what a strategy may request ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({}, "nothing to change; give a quantity, a limit or both"),
        ({"quantity": D(0)}, "quantity is 0; give a decimal.Decimal above 0"),
        ({"limit": D(-1)}, "limit is -1; give a decimal.Decimal above 0"),
        ({"order_id": None, "limit": D(1)}, "order_id is None; give text"),
    ],
)
def test_an_invalid_request_is_refused_in_one_line(wish: dict[str, object], says: str) -> None:
    core, amender = core_with()
    with pytest.raises(ConfigError, match=says):
        amender.amend(**{"order_id": amender.order_id, **wish})  # type: ignore[arg-type]
    assert len(core.of("strategy.decision")) == 1


# -- the gateway --------------------------------------------------------------------------------------------------


def test_an_amend_that_waits_to_be_durable_when_trading_halts_is_not_sent() -> None:
    async def run() -> Core:
        tape = MemoryTape(synced=False)
        core = Core({"amender": Amender()}, tape=tape, venue=ScriptedVenue(simulated=False)).start().trades("100")
        tape.sync()
        for _ in range(5):
            await asyncio.sleep(0)
        amender = core.strategies.strategies["amender"]
        assert isinstance(amender, Amender)
        amend(core, amender, limit=D(99))
        core.feed(CommandReceived(command="halt"))
        tape.sync()
        await core.kernel.drain()
        return core

    core = asyncio.run(run())

    assert core.venue.amended == []
    (rejected,) = (e for e in core.tape.events if isinstance(e, OrderAmendRejectedEvent))
    assert rejected.reason == "never sent: trading is halted"
    (order,) = core.execution.orders.values()
    assert (order.exposure, order.is_open) == (2, True)


def test_an_amend_without_room_is_reported_as_never_sent() -> None:
    core, amender = core_with()
    amend(core, amender, limit=D(99))

    core.gateway.never_sent(core.venue.amended[0])

    (rejected,) = (e for e in core.tape.events if isinstance(e, OrderAmendRejectedEvent))
    assert rejected.reason == "never sent: too many orders are waiting to become durable"


def test_an_amend_that_failed_to_be_sent_counts_at_the_larger_quantity() -> None:
    core, amender = core_with()
    core.venue.error = ConnectionError()
    amend(core, amender, quantity=D(5))

    (warning,) = core.of("system.warning")
    assert warning.payload["message"].endswith("has no answer, sending failed: ConnectionError")
    assert core.execution.orders[amender.order_id].exposure == 5
    assert not core.kernel.halted


def test_orders_are_sent_again_after_trading_was_resumed() -> None:
    core, amender = core_with()
    core.feed(CommandReceived(command="halt"), CommandReceived(command="resume"))
    amend(core, amender, limit=D(99))
    amender.order_id = ""
    core.trades("100", step=MS)

    assert len(core.venue.amended) == 1
    assert [type(o) for o in core.orders] == [OrderSubmittedEvent] * 2


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "amend intents with an order_id"),
        ({"order_id": "o"}, "amend intents with a quantity, a limit or both"),
        ({"order_id": "o", "quantity": D(-1)}, "amend intents with a quantity and a limit above 0"),
        ({"order_id": "o", "limit": D(0)}, "amend intents with a quantity and a limit above 0"),
    ],
)
def test_a_decision_to_amend_names_the_order_and_the_change(fields: dict[str, object], says: str) -> None:
    intent = ActionIntent(action="amend", symbol="", **fields)  # type: ignore[arg-type]
    with pytest.raises(EventValidationError, match=says):
        StrategyDecisionEvent(strategy_id="s", intents=(intent,))
