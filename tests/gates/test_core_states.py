"""Gate: a run that continues from a snapshot of its whole core is the run that made it, object by object, and goes on
to the same tape.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gate_runs import DIP, TRIGGERS, config, head_of_capture, looking_up_often, prove, rows, state
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from running import tickdeck
from same_objects import differences

from tickdeck.application.proof import RecordCheck
from tickdeck.application.state import table_writing
from tickdeck.bootstrap import Run, resume_run, start_run
from tickdeck.bootstrap.core_state import _TRANSIENT
from tickdeck.bootstrap.strategies import load_strategies
from tickdeck.domain.events import CommandReceived, OrderEvent
from tickdeck.domain.risk import RiskLimits
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.config import RunConfig, SignalConfig, StrategyConfig
from tickdeck.infrastructure.exchanges.paper import PaperConfig
from tickdeck.infrastructure.tape.memory import InMemoryEventStore

OWN = Path(__file__).with_name("state_strategies.py")
IGNORED = frozenset(name for names in _TRANSIENT.values() for name in names) - {"context"} | {
    "_tape", "_record", "_context", "folder", "_report", "_figures",
}  # fmt: skip
"""Attributes that say something about the process."""
NAMES = ("Busy", "Faulty", "Restless", "ema-cross", "market-maker")
COMMANDS = ("strategy-pause", "strategy-activate", "halt", "resume", "flatten")
JITTER = PaperConfig(jitter_ns=30_000_000)
MARGIN = PaperConfig(leverage=Decimal(100), maintenance=Decimal("0.0065"))

RUNS: dict[str, Callable[[], RunConfig]] = {
    "built-in strategies": lambda: config("ema-cross", "market-maker", seconds=20),
    "two symbols, timers and errors": lambda: config(
        "Busy", "Faulty", "Rests", symbols=("BTCUSDT", "ETHUSDT"), seconds=12, paper=JITTER
    ),
    "state everywhere": lambda: config(
        f"{OWN}:Hoarder", symbols=("BTCUSDT", "ETHUSDT"), seconds=12, signals=_spread(), stale_after="500ms"
    ),
    "limits and short positions": lambda: config(
        "Busy", "ema-cross", seconds=15, heartbeat="1s", snapshots="500ms",
        paper=PaperConfig(short_selling=True), risk=RiskLimits(max_daily_loss=Decimal(3), max_drawdown=Decimal("0.01")),
    ),
    "a margin account": lambda: config(
        "Busy", "ema-cross", symbols=("BTCUSDT", "ETHUSDT"), seconds=12, paper=MARGIN
    ),
    "margin accounts": lambda: _with_accounts(
        config("Busy", "ema-cross", "Busy", symbols=("BTCUSDT", "ETHUSDT"), seconds=10, paper=MARGIN)
    ),
    "triggers and rules": lambda: msgspec.structs.replace(
        config("Busy", symbols=("BTCUSDT", "ETHUSDT"), seconds=8), strategies=(DIP,), triggers=TRIGGERS
    ),
    "stops and targets": lambda: config("Careful", "Rests", symbols=("BTCUSDT", "ETHUSDT"), seconds=10, paper=JITTER),
    "bracket orders": lambda: config("Bracketed", symbols=("BTCUSDT", "ETHUSDT"), seconds=8, paper=JITTER),
    "candles and a backtest": lambda: config("Restless", "rsi-reversion", seconds=20, candles="1s", backtest=True),
}  # fmt: skip


def _with_accounts(wanted: RunConfig) -> RunConfig:
    """The run with a margin account for each strategy."""
    accounts = {f"a{n}": AccountConfig(exchange="paper", leverage=Decimal(50 * n)) for n in (1, 2)}
    accounts["a3"] = AccountConfig(exchange="paper")
    strategies = tuple(
        msgspec.structs.replace(strategy, account=name)
        for strategy, name in zip(wanted.strategies, accounts, strict=True)
    )
    return msgspec.structs.replace(wanted, accounts=accounts, strategies=strategies)


def _spread() -> dict[str, SignalConfig]:
    return {"spread": SignalConfig(spec=f"{OWN}:Spread")}


def drive(run: Run, look: Callable[[], None] = lambda: None, *, stop: Callable[[], bool] = lambda: False) -> Run:
    """Drive a run as the command line does, and look at it between its inputs."""

    def progress(_: int) -> None:
        look()
        if stop():
            run.driver.request_stop()

    with looking_up_often():
        try:
            asyncio.run(run.drive(None, progress=progress))
        finally:
            run.close()
    return run


def restored(run: Run, state: Mapping[str, Any]) -> Run:
    """A new object of the run, as a new process would make it, with this state."""
    tape = InMemoryEventStore()
    strategies = load_strategies(run.config)[0]
    again = Run(run.folder, run.manifest, run.config, strategies, RecordCheck(iter(()), then=tape), cursors=None)
    again.restore(msgspec.json.decode(msgspec.json.encode(state)))
    return again


def objects_of(run: Run) -> dict[str, object]:
    assert run._state is not None
    return {name: root for name, root in run._state._roots.items() if name != "kernel"}


def assert_same(run: Run, state: Mapping[str, Any]) -> Run:
    """Restore ``state`` into new objects, and compare them with those of ``run``."""
    again = restored(run, state)
    assert again._state is not None
    assert again._state.write() == {name: part for name, part in state.items() if name != "place"}
    assert differences(objects_of(run), objects_of(again), IGNORED) == []
    assert again.kernel.statistics().published == run.kernel.statistics().published
    assert (again.kernel.seq, again.kernel.inputs) == (run.kernel.seq, run.kernel.inputs)
    return again


def snapshot(run: Run) -> dict[str, Any]:
    assert run._state is not None
    return {"place": run.simulation.market_read, **run._state.write()}


# -- the oracle: object by object --------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [table_writing.MANY, 2])
@pytest.mark.parametrize("kind", RUNS)
def test_a_restored_core_is_the_core_at_every_snapshot(
    tmp_path: Path, kind: str, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails after you gave an engine a new attribute: it holds what a snapshot cannot hold. Use plain values,
    and ``partial`` of a method instead of a lambda. ``many``: so many objects become a table."""
    monkeypatch.setattr(table_writing, "MANY", many)
    run = start_run(RUNS[kind](), tmp_path)
    turns = 0

    def look() -> None:
        nonlocal turns
        turns += 1
        if turns % 9 == 1:
            assert_same(run, snapshot(run))

    drive(run, look)

    assert turns > 30
    assert run.simulation.completed
    prove(run.folder)


@pytest.mark.parametrize("kind", RUNS)
def test_no_object_is_slower_because_of_snapshots(tmp_path: Path, kind: str) -> None:
    """If this fails, ``Attributes`` cannot read an object without its ``__dict__``, which makes every access to its
    attributes slower: an attribute is set by other code than that of its class."""
    run = start_run(RUNS[kind](), tmp_path)
    drive(run, stop=lambda: bool(snapshot(run)) and run.kernel.seq > 1_000)
    assert run._state is not None

    slow = []
    for name, value in run._state._named.objects.items():
        if run._state._scope.is_inside(type(value)) and type(value).__dictoffset__:
            held = gc.get_referents(value)  # first: the next line makes a __dict__
            # CPython gives a __dict__ to every object with 30 attributes.
            if any(each is vars(value) for each in held) and len(vars(value)) < 30:
                slow.append(name)
    assert slow == []


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_goes_on_from_any_snapshot_as_it_did(tmp_path: Path, kind: str) -> None:
    run = start_run(RUNS[kind](), tmp_path)
    states: list[dict[str, Any]] = []
    drive(run, lambda: states.append(snapshot(run)))
    alone = list(run.tape.read())

    for kept in states[3 :: len(states) // 4]:
        again = restored(run, kept)
        drive(again)
        seq = kept["kernel"][0]
        assert [event for event in alone if event.seq > seq] == list(again.tape.read())
        assert state(again) == state(run)


@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    seed=st.integers(0, 1_000),
    names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3),
    jitter=st.integers(0, 40_000_000),
    short=st.booleans(),
    cut=st.integers(1, 40),
    commands=st.lists(st.sampled_from(COMMANDS), max_size=4),
)
@example(  # it fails after it was paused and activated
    seed=60,
    names=["Faulty"],
    jitter=3492,
    short=True,
    cut=11,
    commands=["strategy-pause", "strategy-activate", "flatten"],
)
def test_any_run_goes_on_from_its_snapshot(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    names: list[str],
    jitter: int,
    short: bool,
    cut: int,
    commands: list[str],
) -> None:
    paper = PaperConfig(jitter_ns=jitter, short_selling=short)
    wanted = config(*names, seconds=6, seed=seed, symbols=("BTCUSDT", "ETHUSDT"), paper=paper)
    run = start_run(wanted, tmp_path_factory.mktemp("any"))
    waiting, turns = list(commands), 0
    kept: dict[str, Any] | None = None

    def look() -> None:
        nonlocal turns, kept
        turns += 1
        if waiting and turns % 3 == 0:
            [strategy_id, *_] = run.core.strategies.strategies
            arguments = {"strategy_id": strategy_id} if waiting[0].startswith("strategy") else {}
            run.kernel.publish(CommandReceived(command=waiting.pop(0), arguments=arguments, source="control"))
        if turns == cut + 3 * len(commands):
            kept = snapshot(run)
            assert_same(run, kept)

    drive(run, look)
    if kept is None:
        return
    again = drive(restored(run, kept))
    assert [event for event in run.tape.read() if event.seq > kept["kernel"][0]] == list(again.tape.read())
    prove(run.folder)


# -- resumed -----------------------------------------------------------------------------------------------------------


def stopped(wanted: RunConfig, data: Path, seq: int = 1_500) -> Path:
    run = start_run(wanted, data)
    return drive(run, stop=lambda: run.kernel.seq >= seq).folder


def assert_resumes_like(alone: Run, folder: Path, said: str) -> Run:
    run = resume_run(folder)
    assert said in run.resumed, run.resumed
    assert isinstance(run, Run)
    drive(run)
    assert rows(folder) == rows(alone.folder)
    assert state(run) == state(alone)
    assert run.summary(0) == msgspec.structs.replace(
        alone.summary(0), run=run.manifest.run_id, tape=run.summary(0).tape,
        latency_us=run.summary(0).latency_us,
    )  # fmt: skip
    prove(folder)
    return run


@pytest.mark.parametrize("kind", RUNS)
def test_a_stopped_run_is_resumed_from_its_snapshot(tmp_path: Path, kind: str) -> None:
    wanted = RUNS[kind]()
    alone = drive(start_run(wanted, tmp_path / "alone"))
    folder = stopped(wanted, tmp_path)

    assert_resumes_like(alone, folder, "continues from its snapshot")


def test_a_run_on_files_is_resumed_from_its_snapshot(tmp_path: Path, shared: Path) -> None:
    wanted = config("Busy", "ema-cross", tapes=(head_of_capture(shared, tmp_path, 20_000),), seconds=60)
    alone = drive(start_run(wanted, tmp_path / "alone"))
    folder = stopped(wanted, tmp_path, alone.kernel.seq // 2)

    assert_resumes_like(alone, folder, "continues from its snapshot")


def test_what_followed_the_snapshot_is_executed_and_compared(tmp_path: Path) -> None:
    wanted = RUNS["two symbols, timers and errors"]()
    alone = drive(start_run(wanted, tmp_path / "alone"))
    folder = stopped(wanted, tmp_path)
    kept = shutil.copytree(folder / "states", tmp_path / "kept")
    run = resume_run(folder)
    drive(run, stop=lambda: run.kernel.seq >= 2_500)
    shutil.rmtree(folder / "states")
    shutil.copytree(kept, folder / "states")

    assert_resumes_like(alone, folder, "and the record behind it is executed again and compared")


@pytest.mark.parametrize("on_files", [False, True])
def test_an_async_handler_that_was_behind_receives_what_it_missed(
    tmp_path: Path, request: pytest.FixtureRequest, on_files: bool
) -> None:
    tapes = (head_of_capture(request.getfixturevalue("shared"), tmp_path, 20_000),) if on_files else ()
    run = start_run(config("Busy", seconds=30, tapes=tapes), tmp_path)
    handled: list[int] = []

    @run.kernel.on("order.*", name="tell")
    async def first(order: OrderEvent) -> None:
        if len(handled) == 3:
            await asyncio.Event().wait()
        handled.append(order.seq)

    drive(run, stop=lambda: run.kernel.seq >= 3_000)
    again = resume_run(run.folder)
    assert isinstance(again, Run)
    assert (again.restored_from is None) is on_files

    @again.kernel.on("order.*", name="tell")
    async def second(order: OrderEvent) -> None:
        handled.append(order.seq)

    async def play() -> None:
        await again.drive(None, progress=lambda _: None)
        await again.kernel.drain()

    with looking_up_often():
        asyncio.run(play())
    again.close()
    orders = [event.seq for event in again.tape.read() if event.event_type.startswith("order.")]
    assert sorted(set(handled)) == orders
    assert len(handled) == len(orders)


def newest(folder: Path) -> Path:
    return max((folder / "states").glob("*.json"), key=lambda path: int(path.stem))


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def of_another_version(path: Path) -> None:
    rewrite(path, lambda kept: kept | {"format": 99})


def of_other_code(path: Path) -> None:
    rewrite(path, lambda kept: kept | {"code": "other"})


def of_another_tape(path: Path) -> None:
    rewrite(path, lambda kept: kept | {"tape_event": "other"})


def ahead_of_the_tape(path: Path) -> None:
    rewrite(path, lambda kept: kept | {"tape_seq": 1_000_000})


def without_an_engine(path: Path) -> None:
    def change(kept: dict[str, Any]) -> dict[str, Any]:
        kept["state"]["contents"]["risk"][2].pop()
        return kept

    rewrite(path, change)


def of_unknown_objects(path: Path) -> None:
    def change(kept: dict[str, Any]) -> dict[str, Any]:
        kept["state"]["contents"]["risk.nothing"] = ["list", []]
        return kept

    rewrite(path, change)


def naming_a_foreign_class(path: Path) -> None:
    def change(kept: dict[str, Any]) -> dict[str, Any]:
        kept["state"]["shapes"][0][:2] = ["subprocess", "Popen"]
        return kept

    rewrite(path, change)


def rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    from tickdeck.infrastructure.runs.snapshot_files import _digest

    content = msgspec.json.encode(change(msgspec.json.decode(path.read_bytes().partition(b"\n")[2])))
    path.write_bytes(_digest(content) + b"\n" + content)


@pytest.mark.parametrize(
    "harm",
    [torn, of_another_version, of_other_code, of_another_tape, ahead_of_the_tape, without_an_engine,
     of_unknown_objects, naming_a_foreign_class, Path.unlink],
    ids=lambda harm: harm.__name__,
)  # fmt: skip
def test_a_snapshot_that_cannot_be_used_is_not_used(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    wanted = RUNS["built-in strategies"]()
    alone = drive(start_run(wanted, tmp_path / "alone"))
    folder = stopped(wanted, tmp_path)
    harm(newest(folder))

    run = assert_resumes_like(alone, folder, "the record is executed again and compared")
    assert ("is not used: " in run.resumed) == (harm not in (Path.unlink, of_other_code))


def test_a_snapshot_that_leads_elsewhere_is_removed_and_everything_is_executed(tmp_path: Path) -> None:
    wanted = config("Busy", "ema-cross", seconds=20, paper=JITTER, state_every=300)
    alone = drive(start_run(wanted, tmp_path / "alone"))
    folder = stopped(wanted, tmp_path / "data")
    newest(folder).unlink()

    def other_latencies(kept: dict[str, Any]) -> dict[str, Any]:
        kept["state"]["contents"]["venue._rng"][1][1][-1] = 0
        return kept

    rewrite(newest(folder), other_latencies)
    told = tickdeck("run", "--resume", folder.name, "--speed", "max", "--json", data=tmp_path / "data")

    assert told.returncode == 0, told.stderr
    assert "differs from its record after its snapshot at seq" in told.stderr
    assert "the record is executed again and compared" in told.stderr
    assert rows(folder) == rows(alone.folder)
    prove(folder)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("generator", "strategies.strategies['Refusing'].kept['it'] is a generator"),
        ("lambda", "strategies.strategies['Refusing'].kept['it'] is a function"),
        ("file", "strategies.strategies['Refusing'].kept['it'] is a memoryview"),
        ("local class", "strategies.strategies['Refusing'].kept['it'] is a"),
    ],
)
def test_a_run_whose_state_cannot_be_kept_says_so_once_and_is_executed_again(
    tmp_path: Path, what: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    strategy = StrategyConfig(spec=f"{OWN}:Refusing", parameters={"what": what})
    wanted = RunConfig(strategies=(strategy,), duration=Decimal(20), state_every=200)
    with caplog.at_level(logging.WARNING, "tickdeck.run"):
        folder = stopped(wanted, tmp_path)

    [record] = caplog.records
    assert said in record.getMessage()
    assert not list(folder.glob("states/*"))
    run = resume_run(folder)
    assert "the record is executed again" in run.resumed
    run.close()


def test_two_snapshots_are_kept_and_none_are_taken_with_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickdeck.bootstrap.core_snapshots._SHARE", 0)  # however long a snapshot takes

    def played(every: int) -> list[str]:
        folder = stopped(config("Busy", seconds=20, state_every=every), tmp_path)
        return sorted(path.name for path in folder.glob("states/*"))

    assert len(played(300)) == 2
    assert played(0) == []
