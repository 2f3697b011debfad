"""``tickdeck dead-letters``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import NotificationAlert
from tickdeck.infrastructure.runs import Manifest, create_run
from tickdeck.infrastructure.tape import SqliteTape


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """A data folder with a run whose alerts could not be sent, except for the second."""
    import asyncio

    data = tmp_path / "data"
    manifest = Manifest(
        run_id="r1",
        nonce="n",
        created_at="2024-08-09T00:00:00+00:00",
        tickdeck="0",
        code="",
        python="3.11",
        machine="x",
        symbols=("BTCUSDT",),
        config={},
    )
    folder = create_run(data, manifest)
    works = False

    async def mail(alert: NotificationAlert) -> None:
        if not works:
            raise ConnectionError("no way out")

    async def work() -> None:
        nonlocal works
        kernel.subscribe(NotificationAlert, mail, name="mail")
        for text in ("one", "two"):
            kernel.feed(NotificationAlert(text=text, ts_ingress=5))
        await kernel.drain()
        works = True
        kernel.resend(kernel.dead_letters()[1])
        await kernel.aclose()

    tape = SqliteTape(folder / "tape.db")
    kernel = Kernel(tape=tape)
    asyncio.run(work())
    tape.close()
    return data


def test_the_open_letters_are_listed_one_per_line(tickdeck, letters):
    result = tickdeck("dead-letters", "r1", "--data", letters)

    assert result.exit_code == 0
    [line] = result.stdout.splitlines()
    assert line.startswith("1 ")
    assert "mail: " in line
    assert "notification.alert" in line
    assert "text=one" in line


def test_as_json_a_letter_is_an_object_with_its_whole_event(tickdeck, letters, lines):
    [letter] = lines(tickdeck("dead-letters", "r1", "--data", letters, "--json"))

    assert (letter["event_id"], letter["event_type"], letter["handler"]) == ("1", "notification.alert", "mail")
    assert letter["attempts"] == 1
    assert letter["event"]["text"] == "one"


def test_one_event_is_shown_whole(tickdeck, letters):
    shown = tickdeck("dead-letters", "r1", "1", "--data", letters).stdout

    assert shown.startswith("handler  mail\nerror    ")
    event = json.loads(shown.partition("event    ")[2])
    assert event["text"] == "one"


def test_an_event_without_a_letter_is_reported_in_one_line(tickdeck, letters):
    result = tickdeck("dead-letters", "r1", "2", "--data", letters)

    assert result.exit_code == 2
    assert "no dead letter of event '2'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_run_without_dead_letters_has_an_empty_list(tickdeck, simulated):
    people = tickdeck("dead-letters", "last", "--data", simulated)
    script = tickdeck("dead-letters", "last", "--data", simulated, "--json")

    assert (people.exit_code, people.stdout) == (0, "")
    assert "no dead letters" in people.stderr
    assert (script.exit_code, script.stdout, script.stderr) == (0, "", "")


def test_help_says_how_to_resend(tickdeck):
    assert "bus.resend" in tickdeck("dead-letters", "--help").stdout


def test_the_letters_of_a_tape_are_listed_by_its_path(tickdeck, letters):
    by_path = tickdeck("dead-letters", letters / "r1" / "tape.db", "--json")

    assert by_path.exit_code == 0, by_path.stderr
    assert by_path.stdout == tickdeck("dead-letters", "r1", "--data", letters, "--json").stdout
    assert by_path.stdout.count("\n") == 1
