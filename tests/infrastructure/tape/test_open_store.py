"""Buses and stores by URL, a store without a kernel, and the store of a bus."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from tickdeck import (
    ConcurrencyError,
    ConfigError,
    DomainEvent,
    InMemoryEventBus,
    InMemoryEventStore,
    OrderAcceptedEvent,
    OrderCancelledEvent,
    TapeError,
    TapeQuery,
    close_bus,
    open_bus,
    open_store,
)
from tickdeck.bootstrap.store import AnyStore
from tickdeck.infrastructure.tape import JsonlTape, SqliteTape


def accepted(order_id: str = "td1") -> OrderAcceptedEvent:
    return OrderAcceptedEvent(order_id=order_id, symbol="BTCUSDT")


@pytest.fixture(params=["memory", "sqlite", "jsonl"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"{request.param}://{tmp_path}/tape"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", InMemoryEventStore),
        ("MEMORY://", InMemoryEventStore),
        ("sqlite://{}/a tape.db", SqliteTape),
        ("sqlite:///{}/a%20tape.db", SqliteTape),
        ("jsonl://{}/tape", JsonlTape),
        ("{}/tape", SqliteTape),
    ],
)
def test_a_url_chooses_the_store(url: str, kind: type, tmp_path: Path) -> None:
    with open_store(url.format(tmp_path)) as store:
        assert type(store) is kind
        store.append([accepted()])
    if "a" in url and kind is SqliteTape and " " in url.replace("%20", " "):
        assert (tmp_path / "a tape.db").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://localhost", r"no back end for redis://; this version has no extra for it; give memory://"),
        ("sqllite:///tmp/x", r"no back end for sqllite://; did you mean sqlite://\?"),
        ("sqlite://house.db", r"has no absolute path; give .*sqlite:///absolute/path"),
        ("jsonl://", r"has no absolute path"),
        ("sqlite:///", r"has no absolute path"),
        ("sqlite:///:memory:", r"has no absolute path; give memory://"),
        (":memory:", r"is not the location of a store; give memory://"),
        (None, r"None is not the location of a store"),
        (5, r"5 is not the location of a store"),
        (b"house.db", r"is not the location of a store"),
        ("house\0.db", r"is not the location of a store"),
        ("file:house.db", r"no back end for file://"),
        ("sqlite:///house.db?mode=ro", r"pass options to the call"),
        ("memory://house", r"neither a name nor a format"),
        ("", r"is not the location of a store"),
    ],
)
@pytest.mark.parametrize("call", [open_bus, open_store])
def test_a_url_that_names_no_store_is_refused_with_advice(
    call: Callable[[str], object], url: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{call.__name__}: .*{message}"):
        call(url)


def test_a_url_with_another_format_than_the_tape_is_refused(tmp_path: Path) -> None:
    open_store(f"jsonl://{tmp_path}/tape").close()

    with pytest.raises(ConfigError, match="is a tape in jsonl, not in sqlite; give the path alone"):
        open_store(f"sqlite://{tmp_path}/tape")
    open_store(tmp_path / "tape").close()


def test_an_unknown_tape_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"open_bus: there is no tape format 'json'; did you mean 'jsonl'\?"):
        open_bus(tmp_path / "house", tape_format="json")
    with pytest.raises(ConfigError, match="leave one of them out"):
        open_bus(f"sqlite://{tmp_path}/house", tape_format="jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_bus_continues_the_numbers_after_manually_appended_events(tmp_path: Path) -> None:
    with open_store(tmp_path / "tape.db") as store:
        store.append([accepted("td1"), accepted("td2")])
        store.append([OrderAcceptedEvent(order_id="td3", symbol="BTCUSDT", event_id="by-hand")])

    async def main() -> None:
        bus = open_bus(tmp_path / "tape.db")
        bus.publish(accepted("td4"))
        assert [(event.seq, event.event_id) for event in bus.store.read()] == [
            (1, "1"),
            (2, "2"),
            (3, "by-hand"),
            (4, "4"),
        ]
        await close_bus(bus)

    asyncio.run(main())


def test_the_store_of_a_bus_reads_follows_and_keeps_snapshots_but_the_bus_writes(url: str) -> None:
    async def main() -> None:
        bus = open_bus(url)
        store = bus.store
        bus.publish_all([accepted("td1"), accepted("td2"), accepted("td3")])
        assert [event.order_id async for event in store.read(TapeQuery(types=(OrderAcceptedEvent,)))] == [
            "td1",
            "td2",
            "td3",
        ]
        assert [event.seq for event in store.last(2)] == [2, 3]
        assert [event.seq async for event in store.follow(TapeQuery(first_seq=2, limit=2))] == [2, 3]
        store.save_snapshot("order/main/td1", 1, b"state")
        assert store.load_snapshot("order/main/td1") == (1, b"state")
        with pytest.raises(ConfigError, match=r"call bus\.publish_all\(events, expected=\{stream: version\}\)"):
            store.append([accepted()])
        await bus.close()

    asyncio.run(main())


def test_events_published_together_are_recorded_with_all_effects_or_not_at_all(url: str) -> None:
    async def main() -> None:
        bus = open_bus(url)
        bus.subscribe(
            OrderAcceptedEvent, lambda event: bus.publish(OrderCancelledEvent(order_id=event.order_id, symbol="X"))
        )
        edge: list[tuple[int, int]] = []
        bus.subscribe("order.*", lambda event: edge.append((event.seq, bus.store.last_seq)), edge=True)

        bus.publish_all([accepted("td1"), accepted("td2")], expected={"order/main/td1": 0, "order/main/td2": 0})
        with pytest.raises(ConcurrencyError, match="'order/main/td1' has version 2, not the expected 1"):
            bus.publish_all([accepted("td2"), accepted("td1")], expected={"order/main/td2": 2, "order/main/td1": 1})

        found = [(event.seq, event.event_id, event.event_type) for event in bus.store.read()]
        assert found == [
            (1, "1", "order.accepted"),
            (2, "1-1", "order.cancelled"),
            (3, "2", "order.accepted"),
            (4, "2-1", "order.cancelled"),
        ]
        assert edge == [(1, 4), (2, 4), (3, 4), (4, 4)]  # each sees its event when all are on the tape
        await bus.close()

    asyncio.run(main())


def test_publishing_with_expected_versions_is_refused_while_versions_are_unknown(url: str) -> None:
    async def main() -> None:
        bus, refused = open_bus(url), list[str]()

        def decide(event: OrderAcceptedEvent) -> None:
            with pytest.raises(ConfigError, match="not inside a handler") as caught:
                bus.publish_all([accepted("td9")], expected={})
            refused.append(str(caught.value))

        bus.subscribe(OrderAcceptedEvent, decide)
        bus.publish(accepted())
        with bus.batch(), pytest.raises(ConfigError, match="a batch"):
            bus.publish_all([accepted("td9")], expected={})
        assert len(refused) == 1
        await bus.close()

    asyncio.run(main())


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_another_process_reads_while_one_writes_and_a_second_writer_is_refused(form: str, tmp_path: Path) -> None:
    url = f"{form}://{tmp_path}/tape"
    code = f"""
import asyncio
from tickdeck import TapeError, TapeQuery, open_store

async def main():
    with open_store({url!r}, read_only=True) as reader:
        print("reading", flush=True)
        async for event in reader.follow(TapeQuery(limit=3)):
            print(event.order_id, flush=True)
        print([event.seq for event in reader.last(2)], flush=True)
    try:
        open_store({url!r})
    except TapeError:
        print("has a writer", flush=True)

asyncio.run(main())
"""
    with open_store(url) as store:
        store.append([accepted("td1")])
        reader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        assert reader.stdout.readline() == "td1\n"
        for order_id in ("td2", "td3"):
            store.append([accepted(order_id)])
            assert reader.stdout.readline() == f"{order_id}\n"
        assert reader.stdout.read() == "[2, 3]\nhas a writer\n"
        reader.stdout.close()
        assert reader.wait() == 0


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_read_only_store_accepts_nothing_and_must_exist(tmp_path: Path, form: str) -> None:
    url = f"{form}://{tmp_path / 'tape'}"
    with open_store(url) as store:
        store.append([accepted("td1")])
    with open_store(url, read_only=True) as reader, pytest.raises(ConfigError, match="open for reading only; open it"):
        reader.append([accepted("td2")])
    with pytest.raises(TapeError):
        open_store(tmp_path / "none.db", read_only=True)
    with pytest.raises(ConfigError, match="no other reader can open a store in memory"):
        open_store("memory://", read_only=True)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_path_that_cannot_be_a_tape_is_refused_in_one_line(tmp_path: Path, read_only: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        ("/dev/null", "a device or a pipe"),
        (tmp_path / "pipe", "a device or a pipe"),
        ("x" * 300, "too long"),
    ):
        with pytest.raises(TapeError, match=message):
            open_store(path, read_only=read_only)


WRONG_CALLS: list[tuple[str, Callable[[AnyStore], object]]] = [
    ("append: 'x' is not an event", lambda store: store.append(["x"])),  # type: ignore[list-item]
    ("append: 'x' is not an event", lambda store: store.append(["x", accepted()])),  # type: ignore[list-item]
    ("give append", lambda store: store.append(accepted())),  # type: ignore[arg-type]
    ("give append", lambda store: store.append(None)),  # type: ignore[arg-type]
    ("expected is", lambda store: store.append([accepted()], expected=[("s", 0)])),  # type: ignore[arg-type]
    ("expected has 's': '0'", lambda store: store.append([accepted()], expected={"s": "0"})),  # type: ignore[dict-item]
    ("read: None is not a query", lambda store: store.read(None)),  # type: ignore[arg-type]
    ("last: 'order' is not a query", lambda store: store.last(1, "order")),  # type: ignore[arg-type]
    ("from_id is 2; give text", lambda store: store.read(TapeQuery(from_id=2))),  # type: ignore[arg-type]
    ("correlation_id is 2; give text", lambda store: store.read(TapeQuery(correlation_id=2))),  # type: ignore[arg-type]
    ("the version is '1'", lambda store: store.save_snapshot("s", "1", b"")),  # type: ignore[arg-type]
    ("the stream is 5", lambda store: store.save_snapshot(5, 1, b"")),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("scheme", ["memory", "sqlite", "jsonl"])
@pytest.mark.parametrize(("message", "call"), WRONG_CALLS, ids=[message for message, _ in WRONG_CALLS])
def test_a_wrong_argument_is_refused(
    tmp_path: Path, scheme: str, message: str, call: Callable[[AnyStore], object]
) -> None:
    with open_store("memory://" if scheme == "memory" else f"{scheme}://{tmp_path}/store") as store:
        store.append([accepted()])
        with pytest.raises(ConfigError, match=message):
            call(store)
        assert [event.seq for event in store.read()] == [1]
        assert len(store.last(10**30)) == 1


def test_publishing_several_events_needs_a_list() -> None:
    for given in (accepted(), None, 5):
        for bus in (InMemoryEventBus(), open_bus("memory://")):
            with pytest.raises(ConfigError, match=r"is not a list of events; give publish_all\(\[event\]\)"):
                bus.publish_all(given)  # type: ignore[arg-type]


def test_a_store_does_not_accept_future_times_from_unstamped_events(tmp_path: Path) -> None:
    for url in ("memory://", tmp_path / "store"):
        with open_store(url) as store:
            store.append([OrderAcceptedEvent(order_id="td1", symbol="BTCUSDT", ts_ingress=1 << 62)])
            store.append([accepted()])

            times = [event.ts_ingress for event in store.read()]
            assert times == sorted(times)
            assert times[-1] < 1 << 61


def test_a_query_by_a_redefined_class_finds_its_events(tmp_path: Path) -> None:
    def define() -> type[DomainEvent]:
        class Reloaded(DomainEvent, frozen=True, kw_only=True):
            event_type: ClassVar[str] = "open_store_test.reloaded"

        return Reloaded

    older, newer = define(), define()
    with open_store(tmp_path / "store") as store:
        store.append([older(), newer()])

        assert [event.seq for event in store.read(TapeQuery(types=(older,)))] == [1, 2]
