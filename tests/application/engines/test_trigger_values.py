"""Looking only at the triggers that a change may concern gives the same as looking at all of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from application_kit import BTC, SECOND, Core, D, MemoryTape, ScriptedVenue, tick, trade
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.engines import TriggerWish
from tickdeck.application.engines.trigger_inputs import _QUOTES, TriggerInputs
from tickdeck.application.engines.trigger_values import WatchedTrigger
from tickdeck.application.strategies import Rules
from tickdeck.bootstrap.core_state import StateOfRun
from tickdeck.domain.conditions import Evaluator
from tickdeck.domain.conditions.evaluation import Values
from tickdeck.domain.events import CandleEvent, CommandReceived, DomainEvent, TradeEvent, TriggerEvent

ETH = "ETHUSDT"
ACTIONS = ("notify", "buy BTCUSDT 1", "sell BTCUSDT 1", "pause quiet", "halt")
NEVER = "sma(2) < 0 and vwap(ETHUSDT, 3) < 0"  # so that the signals are computed
PRICES = ("9", "9.5", "10", "10.00", "10.5", "11", "12")
PARTS = (
    *("price(BTCUSDT) < 10", "price(ETHUSDT) >= 11", "price(BTCUSDT) == 10", "10 != price(BTCUSDT)"),
    *("price(BTCUSDT) crosses_above 10", "price(BTCUSDT) crosses_below 11", "10.5 crosses_above price(ETHUSDT)"),
    *("price(BTCUSDT) > price(ETHUSDT)", "price(BTCUSDT) crosses_above price(ETHUSDT)", "-price(BTCUSDT) > -10"),
    *("price(BTCUSDT) * 2 > 20", "price(BTCUSDT) > 5 * 2", "price(BTCUSDT) > 1 / 0", "price(ETHUSDT) > 1100%"),
    *("bid(BTCUSDT) >= 10", "ask(ETHUSDT) - bid(ETHUSDT) < 1", "bid(BTCUSDT) crosses_above 9.5"),
    *("sma(BTCUSDT, 2) > 10", "sma(BTCUSDT, 2) crosses_below 11", "close(BTCUSDT, 1s) > 10", "vwap(ETHUSDT, 3) > 10"),
    *("position(BTCUSDT) > 0", "profit_pct(BTCUSDT) crosses_above 2", "equity < 100000", "equity crosses_below 100002"),
    *("time >= 00:00:05 UTC", "time < 00:00:09 UTC", "time > 23:59:59 UTC"),
)


def conditions() -> st.SearchStrategy[str]:
    inner = st.sampled_from(PARTS)
    return st.recursive(
        inner,
        lambda one: st.one_of(
            st.tuples(one, st.sampled_from((" and ", " or ")), one).map(lambda parts: f"({''.join(parts)})"),
            one.map(lambda text: f"not ({text})"),
        ),
        max_leaves=4,
    )


WISHES = st.fixed_dictionaries(
    {"when": conditions(), "then": st.sampled_from(ACTIONS)},
    optional={"every": st.just("2s"), "expires": st.sampled_from(["3s", "9s"])},
)
NAMES = st.sampled_from("abcdef")
SYMBOLS = st.sampled_from([BTC, ETH])
STEPS = st.one_of(
    st.tuples(st.just("trade"), SYMBOLS, st.sampled_from(PRICES), st.sampled_from([0, 1, SECOND // 2, 3 * SECOND])),
    st.tuples(st.just("trade"), SYMBOLS, st.sampled_from(PRICES), st.just(0)),
    st.tuples(st.just("tick"), SYMBOLS, st.sampled_from(PRICES), st.sampled_from(PRICES)),
    st.tuples(st.sampled_from(["create", "update"]), NAMES, WISHES),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("fill"), st.sampled_from(PRICES)),
    st.tuples(st.just("wait"), st.sampled_from([SECOND, 40_000 * SECOND, 86_000 * SECOND])),
    st.tuples(st.sampled_from(["snapshot", "fold"])),
)
Step = tuple[Any, ...]


def looks_at_all(inputs: TriggerInputs, topic: type[DomainEvent], event: DomainEvent) -> list[WatchedTrigger]:
    """What is looked at without knowing what was read before: every trigger that the event may change."""
    if isinstance(event, CandleEvent):
        inputs._values.candles.take(event)
    symbol: str = getattr(event, "symbol", "")
    hearing = [one for one in inputs._watched.values() if (topic, symbol) in one.inputs(inputs._symbols)]
    quotes_alone = topic in _QUOTES and inputs._values.has_last_price(symbol)
    return [one for one in hearing if one.uses_quotes or not quotes_alone]


class Played:
    """A run that did ``steps``. ``events`` are all of its triggers', also those before a fold."""

    def __init__(self, wishes: list[dict[str, str]], steps: list[Step]) -> None:
        self._wishes = [self._wish(f"w{number}", each) for number, each in enumerate(wishes)]
        self.core, self._state = self._new()
        self.core.start()
        self.events: list[Any] = []
        self._now = self.core.now
        self._filled = 0
        for step in steps:
            getattr(self, step[0])(*step[1:])
        self._keep()

    def _wish(self, name: str, given: dict[str, str]) -> TriggerWish:
        return TriggerWish(name=name, once="every" not in given, **given)

    def _new(self) -> tuple[Core, StateOfRun]:
        rules = Rules(symbol=BTC, enter=NEVER, quantity="1")
        core = Core({"quiet": rules}, triggers=self._wishes, symbols=(BTC, ETH), candles=SECOND)
        outside = (Core, MemoryTape, ScriptedVenue)
        parts = {name: part for name, part in vars(core).items() if name not in ("kernel", "tape", "venue", "agenda")}
        return core, StateOfRun(core.kernel, core.agenda, core.strategies, parts, users=[], outside=outside)

    def _keep(self) -> None:
        self.events += [event for event in self.core.tape.events if isinstance(event, TriggerEvent)]

    def trade(self, symbol: str, price: str, later: int) -> None:
        self._now += later
        self.core.feed(trade(price, ts=self._now, symbol=symbol))

    def tick(self, symbol: str, bid: str, ask: str) -> None:
        self.core.feed(tick(min(bid, ask, key=D), max(bid, ask, key=D), ts=self._now, symbol=symbol))

    def create(self, name: str, given: dict[str, str]) -> None:
        self._command("create", name, {"once": "false" if "every" in given else "true", **given})

    def update(self, name: str, given: dict[str, str]) -> None:
        self._command("update", name, {"once": "false" if "every" in given else "true", **given})

    def delete(self, name: str) -> None:
        self._command("delete", name, {})

    def _command(self, what: str, name: str, given: dict[str, str]) -> None:
        arguments = {"trigger_id": name, **given}
        self.core.feed(CommandReceived(command=f"trigger-{what}", arguments=arguments, ts_ingress=self._now))

    def fill(self, price: str) -> None:
        for order in self.core.orders[self._filled : self._filled + 1]:
            self._filled += 1
            self.core.fill(order, price)

    def wait(self, ns: int) -> None:
        self.trade(BTC, "10", ns)

    def snapshot(self) -> None:
        state = self._state.write()
        again, self._state = self._new()
        self._state.restore(msgspec.json.decode(msgspec.json.encode(state)))
        again.tape.cascades += self.core.tape.cascades
        again._trade_ids = self.core._trade_ids
        self.core = again

    def fold(self) -> None:
        self._keep()
        before = self.core.tape.events
        again, self._state = self._new()
        for event in before:
            if isinstance(event, TradeEvent):
                again.market_data.on_trade(event)
            again.triggers.recall(event)
        again.kernel.clock._now = self.core.kernel.clock.now()
        self.core, self._filled = again, 0


@given(st.lists(WISHES, max_size=5), st.lists(STEPS, max_size=25))
def test_it_is_the_same_as_looking_at_all(wishes: list[dict[str, str]], steps: list[Step]) -> None:
    here = Played(wishes, steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TriggerInputs, "changed_by", looks_at_all)
        there = Played(wishes, steps)

    assert here.events == there.events
    assert here.core.tape.events == there.core.tape.events
    assert sides_of(here.core) == sides_of(there.core)


def sides_of(core: Core) -> dict[str, list[int]]:
    return {name: one.evaluator.sides for name, one in core.triggers._watched.items()}


def test_a_thousand_are_not_looked_at_while_the_price_is_between_their_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = [*range(100, 600), *range(700, 1_200)]
    wishes = [TriggerWish(name=f"t{level}", when=f"price crosses_above {level}", then="notify") for level in levels]
    core = Core({}, triggers=wishes).start().trades("650", "650")
    looked_at: list[str] = []
    evaluate = Evaluator.evaluate

    def counted(evaluator: Evaluator, values: Values) -> bool | None:
        looked_at.append(str(evaluator.condition))
        return evaluate(evaluator, values)

    monkeypatch.setattr(Evaluator, "evaluate", counted)
    core.trades("651", "699.5", "600", "702")

    assert looked_at == [f"price crosses_above {level}" for level in (700, 701, 702)]
