"""What both tapes on disk have in common: group commits, waiting, and failed writes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import force_setattr
from tape_events import NEVER, order, trade

from tickdeck.domain.events import DomainEvent, RunStopped
from tickdeck.errors import ConfigError, TapeError
from tickdeck.infrastructure.tape import JsonlTape, SqliteTape, group_commit
from tickdeck.infrastructure.tape.opening import AnyTape, open_reader
from tickdeck.infrastructure.tape.sync import sync

Open = Callable[..., AnyTape]


def forced(event: DomainEvent, **fields: Any) -> DomainEvent:
    """Bypasses the checks of a field."""
    for name, value in fields.items():
        force_setattr(event, name, value)
    return event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape"


@pytest.fixture(params=[SqliteTape, JsonlTape], ids=["sqlite", "jsonl"])
def open_tape(request: pytest.FixtureRequest) -> Open:
    return request.param


def seqs(path: Path) -> list[int]:
    with open_reader(path) as opened:
        return [event.seq for event in opened.read()]


def _raise(error: BaseException) -> Callable[..., None]:
    def raiser(*_: object) -> None:
        raise error

    return raiser


# -- groups ----------------------------------------------------------------------------------------------------------


def test_the_waiter_itself_commits_all_waiting_events_in_one_group(open_tape: Open, path: Path) -> None:
    with open_tape(path, linger_ms=NEVER) as tape:
        for seq in range(1, 101):
            tape.append([trade(seq)])

        tape.wait_durable(1)

        assert tape.durable_seq == 100
        assert tape.statistics().commits == 1


def test_events_become_durable_after_the_linger_without_a_waiter(open_tape: Open, path: Path) -> None:
    with open_tape(path, linger_ms=1) as tape:
        tape.append([trade(1)])

        with tape._room:
            assert tape._room.wait_for(lambda: tape.durable_seq == 1, timeout=120)


def test_events_are_durable_when_their_group_is_synced_and_not_before(
    open_tape: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders leave, and commands are answered, when the tape says so."""
    said: list[tuple[str, int, int, bool]] = []

    async def work(tape: AnyTape) -> None:
        def look(when: str) -> None:
            said.append((when, tape.durable_seq, tape.statistics().durable, waiting.done()))

        write = tape._write

        def watched(values: list[Any], last_seq: int) -> None:
            look("not written")
            write(values, last_seq)
            look("synced")

        monkeypatch.setattr(tape, "_write", watched)
        tape.before_commit = lambda: look("data first")
        tape.append([trade(1), trade(2)])
        waiting = asyncio.ensure_future(tape.wait_durable_async(2))
        await waiting
        look("told")

    with open_tape(path, linger_ms=NEVER) as tape:
        asyncio.run(work(tape))
    nothing = (0, 0, False)
    assert said == [("data first", *nothing), ("not written", *nothing), ("synced", *nothing), ("told", 2, 2, True)]


def test_a_full_group_is_committed_without_lingering(
    open_tape: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_tape, "group", 10)
    with open_tape(path, linger_ms=NEVER) as tape:
        for seq in range(1, 11):
            tape.append([trade(seq)])

        with tape._room:
            assert tape._room.wait_for(lambda: tape.durable_seq == 10, timeout=120)


@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 127, 128, 200])
def test_groups_of_any_size_are_stored_completely(open_tape: Open, path: Path, count: int) -> None:
    with open_tape(path, linger_ms=NEVER) as tape:
        tape.append([trade(seq) for seq in range(1, count + 1)])

    assert seqs(path) == list(range(1, count + 1))


def test_append_waits_for_room_and_drops_nothing(open_tape: Open, path: Path) -> None:
    with open_tape(path, linger_ms=NEVER, max_waiting=10) as tape:
        for seq in range(1, 501):
            tape.append([trade(seq)])
            assert tape.statistics().waiting <= 10

    assert seqs(path) == list(range(1, 501))


def test_the_age_of_the_oldest_event_that_waits_for_the_disk_is_known(
    open_tape: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], time_ns=time.time_ns)
    monkeypatch.setattr(group_commit, "time", clock)
    ages: list[float] = []

    def look() -> None:
        """While a group is being written."""
        now[0] += 1
        ages.append(tape.statistics().waiting_seconds)

    with open_tape(path, linger_ms=NEVER) as tape:
        tape.before_commit = look
        assert tape.statistics().waiting_seconds == 0
        for seq in (1, 2):
            tape.append([trade(seq)])
            now[0] += 5
        assert tape.statistics().waiting_seconds == 10
        tape.wait_durable(2)
        assert tape.statistics().waiting_seconds == 0
        tape.append([trade(3)])
        now[0] += 2
        assert tape.statistics().waiting_seconds == 2
    assert ages == [11, 3]


class _Stalled:
    """A tape whose disk stalls until the block ends, and a thread that appends until there is no room."""

    def __init__(self, tape: AnyTape) -> None:
        self.tape = tape
        self.blocked = threading.Event()
        self.outcome: list[str] = []
        wait = tape._room.wait

        def tell_and_wait(timeout: float | None = None) -> bool:
            self.blocked.set()
            return wait(timeout)

        tape._room.wait = tell_and_wait  # type: ignore[method-assign]
        self.thread = threading.Thread(target=self._append)

    def _append(self) -> None:
        try:
            for seq in range(1, 4):
                self.tape.append([trade(seq)])
            self.outcome.append("appended")
        except TapeError as error:
            self.outcome.append(str(error))

    @contextmanager
    def until_blocked(self) -> Iterator[None]:
        with self.tape._commit_lock:
            self.thread.start()
            assert self.blocked.wait(120)
            assert self.outcome == []
            yield
        self.thread.join(120)


def test_append_blocks_while_the_disk_stalls(open_tape: Open, path: Path) -> None:
    with open_tape(path, max_waiting=2) as tape:
        stalled = _Stalled(tape)

        with stalled.until_blocked():
            assert tape.last_seq == 2

        assert stalled.outcome == ["appended"]
        assert tape.last_seq == 3


def test_append_that_waits_for_room_raises_after_a_failed_write(
    open_tape: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = open_tape(path, max_waiting=2)
    stalled = _Stalled(tape)
    monkeypatch.setattr(tape, "_write", _raise(OSError("the disk is gone")))

    with stalled.until_blocked():
        pass

    assert len(stalled.outcome) == 1
    assert "the disk is gone" in stalled.outcome[0]
    with pytest.raises(TapeError, match="the disk is gone"):
        tape.close()


def test_append_that_waits_for_room_raises_when_the_tape_is_closed(open_tape: Open, path: Path) -> None:
    tape = open_tape(path, max_waiting=2)
    stalled = _Stalled(tape)
    closer = threading.Thread(target=tape.close)

    with stalled.until_blocked():
        closer.start()
        stalled.thread.join(120)
        assert len(stalled.outcome) == 1
        assert "closed" in stalled.outcome[0]
    closer.join(120)

    assert seqs(path) == [1, 2]


def test_several_threads_can_append_and_wait_at_once(open_tape: Open, path: Path) -> None:
    with open_tape(path) as tape:
        lock = threading.Lock()
        durable: list[bool] = []

        def work() -> None:
            for _ in range(50):
                with lock:
                    seq = tape.last_seq + 1
                    tape.append([trade(seq)])
                tape.wait_durable(seq)
                durable.append(tape.durable_seq >= seq)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert durable == [True] * 200
    assert seqs(path) == list(range(1, 201))


def test_a_cancelled_waiter_does_not_disturb_others(open_tape: Open, path: Path) -> None:
    async def wait(tape: AnyTape) -> None:
        tape.append([trade(1)])
        with tape._commit_lock:
            impatient = asyncio.ensure_future(tape.wait_durable_async(1))
            patient = asyncio.ensure_future(tape.wait_durable_async(1))
            await asyncio.wait([impatient, patient], timeout=0)
            impatient.cancel()
            await asyncio.wait([impatient], timeout=120)
        await patient
        assert impatient.cancelled()

    with open_tape(path) as tape:
        asyncio.run(wait(tape))
        assert tape.durable_seq == 1


def test_a_loop_that_ended_early_does_not_disturb_others(open_tape: Open, path: Path) -> None:
    async def give_up(tape: AnyTape) -> None:
        await asyncio.wait([asyncio.ensure_future(tape.wait_durable_async(1))], timeout=0)

    with open_tape(path) as tape:
        tape.append([trade(1)])
        with tape._commit_lock:
            asyncio.run(give_up(tape))

        tape.wait_durable(1)
        assert tape.durable_seq == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_interrupted_by_ctrl_c_is_repeated(
    open_tape: Open, path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    with open_tape(path, linger_ms=NEVER) as tape:
        tape.append([order(1), order(2)])
        commit = tape._write

        def interrupted(values: list[Any], last_seq: int) -> None:
            if when == "after":
                commit(values, last_seq)
            raise KeyboardInterrupt

        monkeypatch.setattr(tape, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tape.wait_durable(2)
        assert tape.durable_seq == 0
        monkeypatch.undo()
        tape.append([trade(3)])

        tape.wait_durable(3)

        assert tape.statistics().waiting == 0
    assert seqs(path) == [1, 2, 3]


# -- what is refused or fails -----------------------------------------------------------------------------------------


def test_a_waiting_coroutine_raises_after_a_failed_write(
    open_tape: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = open_tape(path, linger_ms=NEVER)
    monkeypatch.setattr(tape, "_write", _raise(OSError("the disk is gone")))
    tape.append([trade(1)])

    with pytest.raises(TapeError, match="the disk is gone"):
        asyncio.run(tape.wait_durable_async(1))

    assert tape.statistics().waiting == 1
    with pytest.raises(TapeError, match="the disk is gone"):
        tape.close()


def test_a_cascade_that_is_refused_does_not_count_in_its_streams(open_tape: Open, path: Path) -> None:
    with open_tape(path) as tape:
        with pytest.raises(TapeError):
            tape.append([order(1), order(1)])
        tape.append([order(1), order(2)])

    with open_reader(path) as reader:
        assert [record.stream_version for record in reader.records()] == [1, 2]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (forced(trade(1), seq=1 << 63), "64 bits"),
        (forced(trade(1), ts_ingress=1 << 63), "64 bits"),
        (forced(RunStopped(seq=1), reason="\ud800"), r"event seq 1 \(run.stopped\) cannot be encoded: reason is "),
        (forced(trade(1), price=object()), r"\(market.trade\) cannot be encoded: price is .*; it must be a decimal"),
    ],
)
def test_an_unstorable_event_is_refused_and_the_tape_continues(
    open_tape: Open, path: Path, event: DomainEvent, message: str
) -> None:
    with open_tape(path) as tape:
        with pytest.raises(TapeError, match=message):
            tape.append([event])
        tape.append([trade(1)])

    assert seqs(path) == [1]


def test_a_file_that_cannot_be_synced_gives_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="cannot sync it: No such file"):
        sync(tmp_path / "none")


def test_a_close_that_ctrl_c_ended_can_be_finished_and_loses_nothing(
    open_tape: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = open_tape(path, linger_ms=NEVER)
    tape.append([trade(1)])
    with monkeypatch.context() as patched:
        patched.setattr(tape._thread, "join", _raise(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            tape.close()

    tape.close()

    assert seqs(path) == [1]
    open_tape(path).close()  # it is released


def test_a_snapshot_of_anything_but_bytes_is_refused(open_tape: Open, path: Path) -> None:
    with open_tape(str(path)) as tape:
        tape.append([order(1)])
        with pytest.raises(ConfigError, match="the state is str; encode it to bytes"):
            tape.save_snapshot("order/main/a", 1, "state")  # type: ignore[arg-type]
        assert tape.load_snapshot("order/main/a") is None
