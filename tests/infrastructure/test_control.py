"""The control socket: who may send what, the answers, and the events on the tape."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from application_kit import MemoryTape

from tickdeck.application.kernel import Kernel
from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import CommandReceived, DomainEvent, RunStarted, SystemWarning, TradingHalted
from tickdeck.errors import ConfigError, RunError
from tickdeck.infrastructure.control import (
    Answer,
    CommandDesk,
    ControlServer,
    Request,
    ask,
    lift_halt,
    order_halt,
    ordered_halt,
    query,
)
from tickdeck.infrastructure.control.messages import LONGEST, socket_path


def serve(
    folder: Path,
    client: Callable[[], object],
    *,
    begun: bool = True,
    past: Sequence[DomainEvent] = (),
    symbols: Sequence[str] = (),
    why_not: Callable[[str, Mapping[str, str]], str] = lambda command, arguments: "",
) -> tuple[object, list[DomainEvent]]:
    """The result of ``client``, which runs in another thread while a kernel accepts commands for ``folder``, and the
    events on the tape after ``run.started``. ``past`` is on the tape before that.
    """
    tape = MemoryTape()

    def recorded(query: TapeQuery) -> list[DomainEvent]:
        found = (event for event in (*past, *tape.events) if event.seq >= query.first_seq)
        return [event for event in found if not query.types or event.event_type in query.types]

    async def work() -> object:
        kernel = Kernel(tape=tape)

        def on_command(command: CommandReceived) -> None:
            if command.command == "halt":
                kernel.publish(TradingHalted(reason=command.reason, resumable=True))
            else:
                kernel.publish(SystemWarning(component="risk", message="it is not halted"))

        kernel.subscribe(CommandReceived, on_command)
        if begun:
            kernel.feed(RunStarted())

        async def answer(query: str, arguments: Mapping[str, str]) -> dict[str, Any]:
            if query != "orders":
                raise ConfigError(f"there is no query {query!r}")
            return {"arguments": dict(arguments), "seq": kernel.seq}

        async with ControlServer(folder, CommandDesk(kernel, recorded, symbols=symbols, why_not=why_not), answer):
            return await asyncio.to_thread(client)

    result = asyncio.run(work())
    return result, [event for event in tape.events if not isinstance(event, RunStarted)]


def raw(folder: Path, sent: bytes, *, lines: int = 1) -> bytes:
    """The first lines that the run answers to ``sent``, after which the client stays connected."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(socket_path(folder)))
        connection.sendall(sent)
        if not sent.endswith(b"\n"):
            connection.shutdown(socket.SHUT_WR)
        answers = connection.makefile("rb")
        return b"".join(answers.readline() for _ in range(lines))


def test_a_command_is_recorded_with_user_and_reason_before_it_is_answered(tmp_path: Path) -> None:
    answer, events = serve(tmp_path, lambda: ask(tmp_path, Request(command="halt", reason="lunch")))

    assert isinstance(answer, Answer)
    assert answer.accepted
    command = events[0]
    assert isinstance(command, CommandReceived)
    assert (command.command, command.reason, command.source) == ("halt", "lunch", "control")
    assert str(os.getpid()) in command.metadata["who"]
    assert (answer.event_id, answer.seq) == (command.event_id, command.seq)
    assert [event["event_type"] for event in answer.events] == ["trading.halted"]


def test_a_command_that_the_run_refuses_is_not_recorded(tmp_path: Path) -> None:
    request = Request(command="trigger-create", arguments={"when": "price > -5"})

    answer, events = serve(
        tmp_path, lambda: ask(tmp_path, request), why_not=lambda command, arguments: f"{command}: {arguments['when']}"
    )

    assert answer == Answer(accepted=False, problems=("trigger-create: price > -5",))
    assert events == []


def test_a_command_about_strategies_is_refused_until_the_run_knows_all_of_them() -> None:
    kernel = Kernel(tape=MemoryTape())
    kernel.feed(RunStarted())
    desk = CommandDesk(kernel, caught_up=lambda: False)
    told = "the run executes its record again; try again in a moment"

    for command in ("strategy-create", "strategy-update"):
        request = Request(command=command, arguments={"strategy_id": "dips"})
        answer = asyncio.run(desk.carry_out(request, "me"))
        assert answer == Answer(accepted=False, problems=(f"{command}: {told}",))

    answer = asyncio.run(desk.carry_out(Request(command="halt"), "me"))
    assert answer.seq == kernel.seq == 2


def test_a_command_that_changed_nothing_is_not_accepted_and_the_answer_says_why(tmp_path: Path) -> None:
    answer, _ = serve(tmp_path, lambda: ask(tmp_path, Request(command="resume")))

    assert isinstance(answer, Answer)
    assert not answer.accepted
    assert answer.problems == ("it is not halted",)


def test_a_command_before_the_run_has_begun_is_refused(tmp_path: Path) -> None:
    answer, events = serve(tmp_path, lambda: ask(tmp_path, Request(command="halt")), begun=False)

    assert isinstance(answer, Answer)
    assert answer.problems == ("the run has not begun yet; try again in a moment",)
    assert not events


def test_only_the_user_of_the_run_can_reach_the_socket(tmp_path: Path) -> None:
    mode, _ = serve(tmp_path, lambda: stat.S_IMODE(socket_path(tmp_path).stat().st_mode))

    assert mode == 0o600
    assert not socket_path(tmp_path).exists()  # afterwards


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b'{"command":"explode"}\n', "there is no command 'explode'"),
        (b"halt\n", "cannot be read"),
        (b'{"command":"halt","force":true}\n', "force"),
        (b'{"command":"halt","arguments":{"symbol":1}}\n', "Expected `str`"),
        (b"", "cannot be read"),
        (b'{"command":"halt","reason":"' + b"x" * 2 * LONGEST + b'"}\n', "longer than"),
        (b'{"command":"halt","reason":"' + b"y" * (LONGEST - 100) + b'"}\n', "at most 1,000 are recorded"),
        (b'{"command":"cancel","arguments":{"order_id":"' + b"y" * 1_001 + b'"}}\n', "'order_id' has 1,001 characters"),
        (b'{"command":"halt","reason":"\xff"}\n', "cannot be read"),
        (b'{"command":"halt","reason":"\\ud800"}\n', "cannot be read"),
        (b'{"command":"cancel","arguments":{"symbl":"X"}}\n', "no argument 'symbl'; give order_id, symbol, account"),
        (b'{"command":"flatten","arguments":{"Symbol":"X"}}\n', "flatten has no argument 'Symbol'; give symbol"),
        (b'{"command":"resume","arguments":{"acount":"bob"}}\n', "resume has no argument 'acount'; give account"),
        (b'{"command":"adopt","arguments":{"symbol":"BTC"}}\n', "adopt has no argument 'symbol'; give currency"),
        (b"[" * 100_000 + b"\n", "cannot be read"),
        (b"{}\n", "give either a command or a query"),
        (b'{"command":"halt","query":"orders"}\n', "give either a command or a query"),
        (b'{"query":"secrets"}\n', "there is no query"),
    ],
)
def test_an_invalid_command_is_refused_and_not_recorded(tmp_path: Path, sent: bytes, why: str) -> None:
    line, events = serve(tmp_path, lambda: raw(tmp_path, sent))

    answer = json.loads(bytes(line))  # type: ignore[call-overload]
    assert not answer["accepted"]
    assert why in answer["problems"][0]
    assert not events


def test_a_client_that_disconnects_early_does_no_harm(tmp_path: Path) -> None:
    def leave_and_ask() -> Answer | None:
        for sent in (b"", b'{"comm', b'{"command":"halt"}\n'):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(socket_path(tmp_path)))
                connection.sendall(sent)
        return ask(tmp_path, Request(command="halt", reason="after them"))

    answer, _ = serve(tmp_path, leave_and_ask)

    assert isinstance(answer, Answer)
    assert answer.accepted


def test_many_clients_at_once_are_all_answered(tmp_path: Path) -> None:
    def many() -> list[Answer | None]:
        answers: list[Answer | None] = []
        threads = [
            threading.Thread(target=lambda: answers.append(ask(tmp_path, Request(command="halt")))) for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    answers, events = serve(tmp_path, many)

    assert len({answer.seq for answer in answers}) == 20  # type: ignore[attr-defined]
    assert sum(isinstance(event, CommandReceived) for event in events) == 20


def test_a_query_is_answered_and_not_recorded(tmp_path: Path) -> None:
    answer, events = serve(tmp_path, lambda: query(tmp_path, "orders", {"symbol": "BTCUSDT"}))

    assert answer == {"arguments": {"symbol": "BTCUSDT"}, "seq": 1}
    assert not events


def test_a_refused_query_is_an_error_and_without_a_run_there_is_no_answer(tmp_path: Path) -> None:
    def ask_wrongly() -> str:
        with pytest.raises(ConfigError) as raised:
            query(tmp_path, "secrets", {})
        return str(raised.value)

    assert serve(tmp_path, ask_wrongly)[0] == "there is no query 'secrets'"
    assert query(tmp_path, "orders", {}) is None


def test_a_client_may_send_several_requests_one_after_the_other(tmp_path: Path) -> None:
    sent = b'{"command":"halt"}\n{"query":"orders"}\n' + b"x" * 3 * LONGEST + b'\nnonsense\n{"command":"halt"}\n'
    lines, events = serve(tmp_path, lambda: raw(tmp_path, sent, lines=5))

    answers = [json.loads(line) for line in bytes(lines).splitlines()]  # type: ignore[call-overload]
    assert [answer["accepted"] for answer in answers] == [True, True, False, False, True]
    assert "longer than" in answers[2]["problems"][0]
    assert sum(isinstance(event, CommandReceived) for event in events) == 2


def test_a_command_with_an_id_is_carried_out_once_and_gets_the_first_answer_again(tmp_path: Path) -> None:
    def twice() -> list[Answer | None]:
        order = Request(command="halt", id="a-1", reason="lunch")
        return [ask(tmp_path, each) for each in (order, Request(command="halt"), order)]

    answers, events = serve(tmp_path, twice)

    first, _, again = answers  # type: ignore[misc]
    assert (first.repeated, again.repeated) == (False, True)
    assert msgspec.structs.replace(again, repeated=False) == first
    assert [event["event_type"] for event in again.events] == ["trading.halted"]
    assert sum(isinstance(event, CommandReceived) for event in events) == 2
    assert events[0].correlation_id == "control-a-1"


def test_a_command_is_answered_when_it_and_its_effects_are_durable() -> None:
    tape = MemoryTape(synced=False)

    async def work() -> None:
        kernel = Kernel(tape=tape)
        kernel.subscribe(CommandReceived, lambda command: kernel.publish(SystemWarning(component="risk", message="no")))
        kernel.feed(RunStarted())
        answer = asyncio.ensure_future(CommandDesk(kernel).carry_out(Request(command="resume", id="a"), "me"))
        for durable in (None, 1, 2):
            if durable is not None:
                tape.sync(durable)
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(tape.events) == 3
            assert not answer.done()
        tape.sync()
        assert (await answer).seq == 2

    asyncio.run(work())


def test_clients_that_send_the_same_id_at_the_same_time_get_one_answer(tmp_path: Path) -> None:
    def many() -> list[Answer | None]:
        with ThreadPoolExecutor(20) as pool:
            return list(pool.map(lambda _: ask(tmp_path, Request(command="resume", id="a")), range(20)))

    answers, events = serve(tmp_path, many)

    assert {(answer.accepted, answer.problems) for answer in answers} == {(False, ("it is not halted",))}  # type: ignore[attr-defined]
    assert sum(answer.repeated for answer in answers) == 19  # type: ignore[attr-defined]
    assert sum(isinstance(event, CommandReceived) for event in events) == 1


def test_a_resumed_run_knows_the_commands_of_its_past(tmp_path: Path) -> None:
    order = Request(command="halt", id="a", reason="lunch")
    first, past = serve(tmp_path, lambda: ask(tmp_path, order))
    again, events = serve(tmp_path, lambda: ask(tmp_path, order), past=past)

    assert isinstance(first, Answer)
    assert again == msgspec.structs.replace(first, repeated=True)
    assert not events


def test_an_id_belongs_to_one_command(tmp_path: Path) -> None:
    def three() -> list[Answer | None]:
        return [
            ask(tmp_path, Request(command=command, id="a", arguments=arguments))
            for command, arguments in (("halt", {}), ("resume", {}), ("halt", {"by": "me"}))
        ]

    answers, events = serve(tmp_path, three)

    for answer in answers[1:]:  # type: ignore[index]
        assert "the id a was given before, for the command 'halt'" in answer.problems[0]
    assert sum(isinstance(event, CommandReceived) for event in events) == 1


@pytest.mark.parametrize("name", ["with space", "x" * 65, "\n", "ü"])
def test_an_id_of_other_characters_is_refused(tmp_path: Path, name: str) -> None:
    answer, events = serve(tmp_path, lambda: ask(tmp_path, Request(command="halt", id=name)))

    assert "the id has other characters" in answer.problems[0]  # type: ignore[attr-defined]
    assert not events


def test_a_socket_that_is_there_takes_connections_before_the_run_accepts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = asyncio.start_unix_server

    async def starting(*arguments: Any, **options: Any) -> asyncio.Server:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(socket_path(tmp_path)))  # a run that refuses it is taken for dead
        return await start(*arguments, **options)

    monkeypatch.setattr(asyncio, "start_unix_server", starting)
    answer, _ = serve(tmp_path, lambda: query(tmp_path, "orders", {}))

    assert answer == {"arguments": {}, "seq": 1}
    assert list(tmp_path.iterdir()) == []


def test_a_leftover_socket_gives_no_answer(tmp_path: Path) -> None:
    assert ask(tmp_path, Request(command="halt")) is None
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(socket_path(tmp_path)))

    assert ask(tmp_path, Request(command="halt")) is None
    answer, _ = serve(tmp_path, lambda: ask(tmp_path, Request(command="halt")))
    assert isinstance(answer, Answer)


def test_a_stuck_run_is_reported_after_the_time_out(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(socket_path(tmp_path)))
        stuck.listen()

        with pytest.raises(RunError, match="did not answer within"):
            ask(tmp_path, Request(command="halt"), timeout=0.05)


@pytest.mark.parametrize("answered", [b"", b'{"accepted":tr'])
def test_a_run_that_ends_before_its_answer_is_reported_with_the_id_to_ask_again(
    tmp_path: Path, answered: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as dying:
        dying.bind(str(socket_path(tmp_path)))
        dying.listen()

        def die() -> None:
            client, _ = dying.accept()
            client.sendall(answered)
            client.close()

        thread = threading.Thread(target=die)
        thread.start()
        with pytest.raises(RunError, match=r"ended before it answered; .*--id a sends the same command again"):
            ask(tmp_path, Request(command="halt", id="a"))
        thread.join()


def test_a_client_waits_for_a_place_if_many_others_wait(tmp_path: Path) -> None:
    def crowd() -> Answer | None:
        others = [socket.socket(socket.AF_UNIX) for _ in range(200)]
        try:
            for other in others:
                other.connect(str(socket_path(tmp_path)))
            return ask(tmp_path, Request(command="halt"))
        finally:
            for other in others:
                other.close()

    answer, _ = serve(tmp_path, crowd)

    assert isinstance(answer, Answer)
    assert answer.accepted


@pytest.fixture
def deep_folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / ("x" * 60) / ("y" * 60)
    folder.mkdir(parents=True)
    yield folder
    assert not socket_path(folder).exists()


def test_a_folder_with_a_long_path_has_its_socket_in_a_private_folder(deep_folder: Path) -> None:
    mode, _ = serve(deep_folder, lambda: stat.S_IMODE(socket_path(deep_folder).parent.stat().st_mode))
    answer, _ = serve(deep_folder, lambda: ask(deep_folder, Request(command="halt")))

    assert mode == 0o700
    assert isinstance(answer, Answer)


def test_the_file_that_halts_is_written_read_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    assert ordered_halt(folder, beside=True) is None

    order_halt(folder, "away\nfor a while")
    assert _ordered(folder) == ("away\nfor a while", {})
    order_halt(folder, "away", cancels=True)
    assert _ordered(folder) == ("away", {"orders": "cancel"})
    order_halt(folder, "", cancels=True)
    assert _ordered(folder) == ("there is a file HALT", {"orders": "cancel"})
    assert lift_halt(folder)
    assert not lift_halt(folder)

    (tmp_path / "HALT").touch()
    assert ordered_halt(folder) is None
    assert _ordered(folder, beside=True) == ("there is a file HALT", {})


def _ordered(folder: Path, *, beside: bool = False) -> tuple[str, dict[str, str]]:
    command = ordered_halt(folder, beside=beside)
    assert command is not None
    return command.reason, dict(command.arguments)


@pytest.mark.parametrize("command", ["flatten", "close", "cancel", "protect", "unprotect"])
def test_a_command_for_an_unknown_symbol_is_refused_and_the_known_ones_are_named(tmp_path: Path, command: str) -> None:
    request = Request(command=command, arguments={"symbol": "BTCEUR"})
    answer, events = serve(tmp_path, lambda: ask(tmp_path, request), symbols=("ETHUSDT", "XRPUSDT"))

    assert isinstance(answer, Answer)
    assert answer.problems == (f"{command}: 'BTCEUR' is not a symbol of this run; its symbols are ETHUSDT, XRPUSDT",)
    assert not answer.accepted
    assert not events


def test_a_file_that_halts_and_cannot_be_read_halts_too(tmp_path: Path) -> None:
    (tmp_path / "HALT").mkdir()

    command = ordered_halt(tmp_path)

    assert command is not None
    assert command.reason == f"{tmp_path / 'HALT'} cannot be read: Is a directory"
