"""Gate: a run with real orders that is killed at any instant ends with what the exchange has (`make torture`)."""

from __future__ import annotations

import importlib
import inspect
import random
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import msgspec
import pytest
from many_examples import SEEDS

import torture
from tickdeck.domain.events import (
    BalanceEvent,
    DomainEvent,
    OrderFilledEvent,
    OrderSubmittedEvent,
    TradeExecutedEvent,
    TradeFailedEvent,
    TradeNeedsReconciliationEvent,
    TradeReservedEvent,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.trading import Order
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.infrastructure.tape import SqliteTape
from tickdeck.infrastructure.venue import Faults
from torturing import crash_disk
from torturing.case import Stretch, Torture, Wanted
from torturing.copies import Copies, Followed
from torturing.ledger import Books, Ledger
from torturing.plan import Kind, drawn_faults, drawn_kill
from torturing.proving import Explained
from torturing.shape import drawn_shape
from torturing.trader import EXITS
from torturing.victim import POINTS


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(max(SEEDS // 20, 1)))  # a hundred: TICKDECK_SEEDS=2000
@pytest.mark.parametrize("accounts", [1, 3])
def test_a_run_that_is_killed_at_any_instant_ends_with_what_the_exchange_has(
    tmp_path: Path, seed: int, accounts: int
) -> None:
    with Torture(tmp_path / "case", Wanted(seed=seed, every=1.0, accounts=accounts)) as case:
        stretch = case.stretch(6)

    assert not stretch.differences, case.about
    assert stretch.kills.total() == 6


def test_a_seed_always_gives_the_same_kills_and_faults() -> None:
    def drawn(seed: int) -> list[Any]:
        rng = random.Random(seed)
        return [drawn_faults(rng, seed), *(drawn_kill(rng, 1.0, "sqlite", power_cuts=True) for _ in range(200))]

    assert drawn(1) == drawn(1) != drawn(2)
    assert {kill.kind for kill in drawn(1)[1:]} == set(get_args(Kind))
    for seed in range(20):
        Faults.parse(drawn(seed)[0])


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_each_point_at_which_a_process_kills_itself_exists(point: Any) -> None:
    method = inspect.getattr_static(getattr(importlib.import_module(point.module), point.owner), point.method)

    assert inspect.isfunction(method)


def test_memory_that_grows_in_a_long_run_is_reported() -> None:
    def stretch(run_mb: float) -> Stretch:
        none: Counter[str] = Counter()
        return Stretch(1, "", none, none, none, 0, 0, 0, 0, 1.0, 0, 0, run_mb, 50.0, ())

    flat = [stretch(size) for size in (40, 60, 62, 61, 63, 62)]
    growing = [stretch(size) for size in (40, 60, 62, 70, 90, 95)]

    assert torture._grown(flat) == []
    assert torture._grown(growing) == ["run_mb grew from 70 to 90"]


@pytest.mark.parametrize(("luck", "left"), [("lost", b"old"), ("kept", b"old and new")])
def test_a_power_cut_leaves_what_a_folder_held_before_and_loses_what_was_not_synced(
    tmp_path: Path, luck: Any, left: bytes
) -> None:
    folder, after = tmp_path / "run", tmp_path / "after"
    (folder / "frames").mkdir(parents=True)
    log = folder / "frames" / "log"
    log.write_bytes(b"old")
    disk = crash_disk.Disk(folder, holding=True)
    disk.apply(crash_disk.Step("append", str(log), data=b" and"))
    disk.apply(crash_disk.Step("append", str(log), data=b" new"))
    disk.apply(crash_disk.Step("open", str(folder / "made")))
    after.mkdir()
    disk.write_out(after, luck, random.Random(1))

    assert (after / "frames" / "log").read_bytes() == left
    assert (after / "made").exists() is (luck == "kept")


def test_a_power_cut_leaves_nothing_of_a_socket_that_got_another_name(tmp_path: Path) -> None:
    folder, after = tmp_path / "run", tmp_path / "after"
    folder.mkdir()
    after.mkdir()
    disk = crash_disk.Disk(folder, holding=True)
    disk.apply(crash_disk.Step("rename", str(folder / "control"), data=str(folder / "control.new").encode()))
    disk.write_out(after, "kept", random.Random(1))

    assert list(after.iterdir()) == []


# -- the comparison finds what differs ------------------------------------------------------------------------------

THERE = {"symbol": "BTCUSDT", "client_id": "a", "status": "FILLED", "filled": "1"}
FILL = {"symbol": "BTCUSDT", "number": 7, "price": "10", "quantity": "1", "commission": "0.01"}


def events() -> list[DomainEvent]:
    """An order that is filled, as a tape has it."""
    about: dict[str, Any] = {"order_id": "a", "symbol": "BTCUSDT"}
    one = Decimal(1)
    submitted = OrderSubmittedEvent(**about, side=Side.BUY, quantity=one, limit=Decimal(10), remaining=one)
    report = VenueOrderReported(**about, status=OrderStatus.ACCEPTED, venue_order_id="5")
    fill = VenueFillReported(
        **about, side=Side.BUY, price=Decimal(10), quantity=one, venue_trade_id="7", fee=Decimal("0.01")
    )
    order = Order(submitted)
    balance = BalanceEvent(currency="USDT", total=Decimal(90), free=Decimal(90))
    return [submitted, report, *order.apply_report(report), fill, *order.apply_fill(fill), balance]


def books_of(folder: Path, events: Iterable[DomainEvent]) -> Books:
    with SqliteTape(folder / "tape.db") as tape:
        for event in events:
            tape.append([event])
    return Ledger(folder).books["main"]


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return books_of(tmp_path, events())


def truth(**changes: Any) -> Any:
    found = {"orders": [THERE], "fills": [FILL], "balances": {"USDT": Decimal(90)}}
    return SimpleNamespace(**(found | changes))


def test_an_equal_ledger_has_no_differences(books: Books) -> None:
    there = truth(balances={"USDT": Decimal("90.0")})

    assert list(books.differences_at_rest(there)) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"orders": [THERE, THERE]}, "the exchange has 2 orders a in BTCUSDT"),
        ({"orders": [THERE, THERE | {"client_id": "b"}]}, "the exchange has order b in BTCUSDT, but the tape does not"),
        ({"orders": []}, "order a is filled (1 filled), but the exchange has no such order"),
        ({"orders": [THERE | {"status": "CANCELED"}]}, "order a is filled, at the exchange CANCELED"),
        ({"orders": [THERE | {"filled": "0.9"}]}, "order a has 1 filled, at the exchange 0.9"),
        ({"fills": []}, "fill 7 in BTCUSDT of order a is unknown to the exchange"),
        ({"fills": [FILL, FILL | {"number": 8}]}, "1 fills on the tape, 2 at the exchange"),
        ({"fills": [FILL | {"price": "11"}]}, "fill 7 in BTCUSDT of order a differs"),
        ({"balances": {"USDT": Decimal("90.00000001")}}, "90 USDT, at the exchange 90.00000001"),
        ({"balances": {"USDT": Decimal(90), "BTC": Decimal(1)}}, "0 BTC, at the exchange 1"),
    ],
)
def test_each_difference_from_the_exchange_is_found(books: Books, changes: dict[str, Any], what: str) -> None:
    found = list(books.differences_at_rest(truth(**changes)))

    assert any(difference.startswith(what) for difference in found), found


@pytest.mark.parametrize(
    ("stop", "target", "differences"),
    [
        ({"status": "EXPIRED", "filled": "0"}, {}, []),
        ({}, {"status": "EXPIRED", "filled": "0"}, []),
        (
            {"status": "EXPIRED", "filled": "0"},
            {"status": "CANCELED", "filled": "0"},
            ["order a is filled, at the exchange CANCELED", "order a has 1 filled, at the exchange 0"],
        ),
        ({}, {}, ["order a has 1 filled, at the exchange 2"]),
    ],
)
def test_a_stop_and_a_target_at_the_exchange_are_one_order_of_the_tape(
    tmp_path: Path, stop: dict[str, Any], target: dict[str, Any], differences: list[str]
) -> None:
    submitted, *rest = events()
    books = books_of(tmp_path, [msgspec.structs.replace(submitted, stop=Decimal(9)), *rest])
    pair = [THERE | {"client_id": "as"} | stop, THERE | {"client_id": "at"} | target]

    assert list(books.differences_at_rest(truth(orders=pair))) == differences


# -- copies -----------------------------------------------------------------------------------------------------------

TRADE: dict[str, Any] = {"account_id": "bob", "symbol": "BTCUSDT", "side": Side.BUY, "quantity": Decimal(1)}
FIRST = TRADE | {"trade_id": "bob-copies-a-7", "order_id": "b", "copied_from": "a-7"}
RESERVED = TradeReservedEvent(**FIRST, reserved=Decimal(10), reserved_currency="USDT")
EXECUTED = TradeExecutedEvent(**FIRST, executed_price=Decimal(10), executed_quantity=Decimal(1))
LEADS = OrderFilledEvent(
    order_id="a",
    symbol="BTCUSDT",
    strategy_id="s",
    side=Side.BUY,
    price=Decimal(10),
    quantity=Decimal(1),
    filled=Decimal(1),
    remaining=Decimal(0),
    average_price=Decimal(10),
    venue_trade_id="7",
)
FAILED = TradeFailedEvent(**FIRST, reason="never received")
IN_DOUBT = TradeNeedsReconciliationEvent(**FIRST, reason="the exchange has its order after all")
NO_COPY = TradeFailedEvent(**FIRST | {"trade_id": "bob-copies-x-9", "copied_from": "x-9"}, reason="no money")


@pytest.mark.parametrize(
    ("told", "filled", "differences"),
    [
        ((LEADS, RESERVED, EXECUTED), 1, []),
        ((LEADS, RESERVED, EXECUTED), 2, ["trade bob-copies-a-7 has 1 executed, and its order b 2 filled"]),
        ((LEADS, RESERVED), 0, ["trade bob-copies-a-7 has not ended"]),
        ((LEADS,), 0, ["bob did not copy a-7"]),
        ((LEADS, RESERVED, EXECUTED, NO_COPY), 1, ["bob copied x-9, which is no fill of its leader"]),
        ((LEADS, RESERVED, EXECUTED, EXECUTED), 1, ["trade bob-copies-a-7 ended twice"]),
        ((LEADS, RESERVED, FAILED, EXECUTED), 1, ["trade bob-copies-a-7 ended twice"]),
        ((LEADS, RESERVED, FAILED, IN_DOUBT, EXECUTED), 1, []),
        ((LEADS, RESERVED, FAILED, IN_DOUBT), 0, ["trade bob-copies-a-7 has not ended"]),
        ((LEADS, RESERVED, EXECUTED, IN_DOUBT, EXECUTED), 1, ["trade bob-copies-a-7 ended twice"]),
        (
            (LEADS, RESERVED, EXECUTED, RESERVED),
            1,
            ["trade bob-copies-a-7 is reserved 2 times", "bob copied a-7 2 times"],
        ),
    ],
)
def test_what_is_wrong_with_copies_is_found(told: tuple[Any, ...], filled: int, differences: list[str]) -> None:
    copies = Copies()
    for event in told:
        copies.take(event)
    orders: Any = {"bob": {"b": SimpleNamespace(filled=Decimal(filled))}}

    assert list(copies.differences_at_rest(orders, {"bob": Followed("main", "s", each=True)})) == differences


# -- what cases are made of, and what their proofs say ---------------------------------------------------------------


def test_cases_have_all_kinds_of_accounts_stops_and_rules() -> None:
    shapes = [drawn_shape(seed) for seed in range(40)]

    assert {shape.exits for shape in shapes} == set(EXITS)
    assert {shape.rules for shape in shapes} == {True, False}
    assert {len(shape.accounts) for shape in shapes} == {1, 3}
    assert all(len(drawn_shape(seed, 3).leaders) == 2 for seed in range(10))


LOST = "what followed from the market data from seq 1,000 to 1,234 was not durable when the process ended, and never"
LOST += " happened"
EDITED = "the source of strategy 'x.py:S' has changed since the run; the copy in its folder was executed"


def test_a_note_of_a_proof_needs_a_kill_or_an_edit_that_explains_it() -> None:
    explained = Explained()
    notes = [LOST, EDITED, "the events up to seq 9 were not executed again: gone"]
    assert explained.unexplained(notes) == notes

    explained.killed_at.add(1_200)
    assert explained.unexplained(notes) == notes
    explained.taken_up[1_235] = 1_200
    explained.edits, explained.edited_since = 1, True
    assert explained.unexplained(notes) == notes[-1:]
