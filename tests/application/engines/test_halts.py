"""Trading is halted by the daily loss, by a command or by the kernel, and resumed."""

from __future__ import annotations

from application_kit import BTC, START, Core, D, trade
from risk_kit import DAY, Puppet, breaches, buy, command, core_of, do, sell

from tickdeck.application.engines.trading_gate import SURROUNDINGS
from tickdeck.application.units import iso_time
from tickdeck.domain.events import (
    CommandReceived,
    TradingHalted,
    VenueBalanceReported,
)
from tickdeck.domain.risk import RiskLimits


def losing(limits: RiskLimits) -> tuple[Core, Puppet]:
    """A position of 1 that was bought at 100 and is now worth 50 less."""
    core, puppet = core_of(limits, buy("1"))
    core.fill(core.orders[0], "100")
    core.trades("50")
    return core, puppet


def test_at_the_daily_loss_trading_halts_before_the_next_order() -> None:
    core, puppet = losing(RiskLimits(max_daily_loss=D(50)))
    do(core, puppet, buy("1"), price="50")

    (halt,) = core.of("trading.halted")
    assert isinstance(halt, TradingHalted)
    assert halt.reason.startswith("max_daily_loss: equity fell by 50")
    assert breaches(core) == ["trading_halted"]
    assert len(core.orders) == 1
    assert not core.kernel.halted  # a limit, not an error


def test_a_fill_that_realises_the_daily_loss_halts_trading() -> None:
    core, puppet = losing(RiskLimits(max_daily_loss=D(60)))
    do(core, puppet, sell("1"), price="50")
    assert core.of("trading.halted") == []

    core.fill(core.orders[1], "40")

    assert len(core.of("trading.halted")) == 1


def test_a_balance_reported_later_is_neither_gain_nor_loss() -> None:
    core, puppet = losing(RiskLimits(max_daily_loss=D(60)))
    core.feed(VenueBalanceReported(currency="USDT", total=D(10), source="scripted"))
    do(core, puppet, buy("1"), price="50")
    assert core.of("trading.halted") == []
    do(core, puppet, buy("1"), price="39")

    assert len(core.of("trading.halted")) == 1


def test_the_daily_loss_counts_for_decisions_before_the_balance_update() -> None:
    class Hasty(Puppet):
        def on_start(self) -> None:
            self.buy(BTC, D(1))  # refused, because there is no price, and risk computes the equity: 0

    puppet = Hasty()
    core = Core({"hasty": puppet}, limits=RiskLimits(max_daily_loss=D(50))).start().trades("100")
    do(core, puppet, buy("1"))
    core.fill(core.orders[0], "100")
    do(core, puppet, buy("1"), price="50")

    assert len(core.of("trading.halted")) == 1


def test_a_new_day_resets_the_daily_loss_unless_trading_was_halted() -> None:
    core, puppet = losing(RiskLimits(max_daily_loss=D(60)))
    do(core, puppet, buy("1"), price="50")  # -50, of which risk knows now
    puppet.todo = [buy("1")]
    core.feed(trade("20", ts=START + DAY))  # -80 in all, -30 today

    assert core.of("trading.halted") == []
    assert len(core.orders) == 3


def test_a_command_halts_trading_once_and_cancels_still_pass() -> None:
    core, puppet = core_of(RiskLimits(), buy("1"))
    order = core.orders[0]
    core.feed(CommandReceived(command="dance"), CommandReceived(command="halt"), CommandReceived(command="halt"))
    do(core, puppet, buy("1"), lambda s: s.cancel(order.order_id))

    assert [e.payload["reason"] for e in core.of("trading.halted")] == ["asked for by a command"]
    assert breaches(core) == ["trading_halted"]
    assert [c.order_id for c in core.venue.cancelled] == [order.order_id]
    (breach,) = core.of("risk.limit_breached")
    assert breach.payload["detail"] == "asked for by a command"


def test_a_second_halt_says_since_when_and_by_whom_trading_is_halted() -> None:
    def halt(reason: str, who: str) -> CommandReceived:
        return CommandReceived(command="halt", reason=reason, metadata={"who": who})

    core = Core().start().feed(halt("lunch", "ada"), halt("fire", "bob"))

    assert [e.payload["reason"] for e in core.of("trading.halted")] == ["lunch"]
    first, second = core.of("notification.alert")
    assert (first.payload["text"], first.payload["severity"]) == ("trading is halted: lunch", "critical")
    since = iso_time(core.of("trading.halted")[0].ts_ingress)
    assert second.payload["text"] == f"trading was halted already, since {since} by ada: lunch"
    assert second.payload["severity"] == "info"


def test_a_halt_after_an_error_says_that_it_was_one() -> None:
    core, _ = core_of(RiskLimits(), buy("1"))
    core.fill(core.orders[0], "100", "2")  # more than was ordered: execution raises
    command(core, "halt", "lunch")

    assert "by an error: " in core.of("notification.alert")[-1].payload["text"]


def test_a_command_may_give_a_reason() -> None:
    core = Core().start().feed(CommandReceived(command="halt", reason="fire drill"))
    assert core.of("trading.halted")[0].payload["reason"] == "fire drill"


def test_a_halt_by_the_kernel_closes_risk_too() -> None:
    core, puppet = core_of(RiskLimits(), buy("1"))
    core.fill(core.orders[0], "100", "2")  # more than was ordered: execution raises
    do(core, puppet, buy("1"))

    assert breaches(core) == ["trading_halted"]


def test_after_the_end_of_the_run_no_order_passes() -> None:
    class Late(Puppet):
        def on_stop(self) -> None:
            self.buy(BTC, D(1))

    core = Core({"late": Late()}).start().trades("100").stop()
    assert breaches(core) == ["trading_halted"]
    assert core.of("risk.limit_breached")[0].payload["detail"] == "the run has come to its end"


def test_trading_continues_after_a_commanded_halt_was_resumed() -> None:
    core, puppet = core_of(RiskLimits())
    command(core, "halt", "lunch")
    do(core, puppet, buy("1"))
    assert breaches(core) == ["trading_halted"]

    command(core, "resume", "back again")
    do(core, puppet, buy("1"))

    assert len(core.orders) == 1
    assert [e.payload["reason"] for e in core.of("trading.resumed")] == ["back again"]
    (halted,) = core.of("trading.halted")
    assert halted.payload == {"reason": "lunch", "resumable": True, "account_id": "", "scope": ""}


def test_after_a_resume_the_daily_loss_counts_from_zero() -> None:
    core, puppet = core_of(RiskLimits(max_daily_loss=D(100)), buy("10"))
    core.fill(core.orders[0], "100")
    core.trades("89")
    do(core, puppet, sell("1"), price="89")
    assert len(core.of("trading.halted")) == 1
    assert len(core.orders) == 2  # it reduces the position, so it passes

    command(core, "resume")
    do(core, puppet, buy("1"), price="80")  # 90 more are lost
    assert len(core.orders) == 3
    do(core, puppet, sell("1"), price="78")
    assert len(core.of("trading.halted")) == 2


def test_a_halt_by_an_error_stays() -> None:
    core, puppet = core_of(RiskLimits())
    command(core, "halt")
    core.feed(TradingHalted(reason="risk failed"))
    command(core, "resume")
    do(core, puppet, buy("1"))

    assert core.of("trading.resumed") == []
    assert [e.payload["message"] for e in core.of("system.warning")] == [
        "trading is not resumed, it stays halted: risk failed"
    ]
    assert breaches(core) == ["trading_halted"]


def test_resume_does_nothing_while_trading_is_on_or_the_run_is_over() -> None:
    core, _ = core_of(RiskLimits())
    command(core, "resume")
    command(command(core, "halt").stop(), "resume")

    messages = [e.payload["message"] for e in core.of("system.warning")]
    assert messages[0] == "trading is not resumed, it is not halted"
    assert "stays halted" in messages[1]


def test_each_halt_gives_one_alert_whatever_its_cause() -> None:
    core, _ = core_of(RiskLimits())
    command(command(core, "halt", "lunch"), "halt", "still lunch")
    core.feed(TradingHalted(reason="execution failed"))

    alerts = [(e.payload["text"].partition(", since")[0], e.payload["severity"]) for e in core.of("notification.alert")]
    assert alerts == [
        ("trading is halted: lunch", "critical"),
        ("trading was halted already", "info"),
        ("trading is halted: execution failed", "critical"),
    ]


def test_a_command_leaves_or_cancels_the_open_orders_and_the_alert_says_which() -> None:
    core, puppet = core_of(RiskLimits())
    do(core, puppet, buy("1", limit="90"), buy("2", limit="89"), price="100")

    command(core, "halt", "lunch")
    assert core.of("order.cancel_requested") == []
    command(core, "halt", "lunch", orders="cancel")
    cancelled = [event.payload["order_id"] for event in core.of("order.cancel_requested")]
    assert cancelled == [order.order_id for order in core.orders]
    command(core, "halt", "lunch", orders="cancel")
    command(core, "halt", "lunch", orders="burn")

    assert len(core.of("order.cancel_requested")) == 2  # each once
    first, again, *_ = [event.payload["text"] for event in core.of("notification.alert")]
    assert first == "trading is halted: lunch (open orders: 0 being cancelled, 2 left)"
    assert again.endswith(": lunch (open orders: 2 being cancelled, 0 left)")
    assert [event.payload["message"] for event in core.of("system.warning")] == [
        "halt: trading is halted, but orders is 'burn'; give 'cancel' or 'leave'; they stay"
    ]


def test_a_halt_that_cancels_leaves_stops_and_targets() -> None:
    core, puppet = core_of(RiskLimits())
    do(core, puppet, lambda s: s.buy(BTC, D(1), stop_loss=D(90)), price="100")
    core.fill(core.orders[0], "100")
    do(core, puppet, buy("1", limit="95"), price="100")

    command(core, "halt", "lunch", orders="cancel")

    (cancelled,) = core.of("order.cancel_requested")
    assert cancelled.payload["order_id"] == core.orders[-1].order_id
    (alert,) = core.of("notification.alert")
    assert alert.payload["text"] == (
        "trading is halted: lunch (open orders: 1 being cancelled, 0 left; stops and targets: 1 left)"
    )


def test_what_is_well_again_around_a_run_ends_no_halt_of_an_operator() -> None:
    core, _ = core_of(RiskLimits())
    command(core, "halt", "the disk is full", by=SURROUNDINGS)
    command(core, "halt", "I look at it")
    command(core, "resume", "the disk has room", by=SURROUNDINGS)

    assert core.risk.gate.closed_because == "I look at it"
    assert core.of("trading.resumed") == []
    command(core, "resume")
    assert core.risk.gate.closed_because == ""
