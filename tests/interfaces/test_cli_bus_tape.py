"""The tape of a bus by its path: listed, traced, replayed, exported, checked, and proven with its wiring."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

HOUSE = """
import asyncio, sys
from typing import ClassVar
from tickdeck import DomainEvent
from tickdeck.bootstrap import close_bus, open_bus

class DoorOpened(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "house.door_opened"
    door: str

class LightOn(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "house.light_on"
    room: str

def subscribe(bus):
    @bus.on(DoorOpened)
    def light(event):
        bus.publish(LightOn(room=event.door.upper()))

    @bus.on(LightOn)
    async def ring(event):
        if event.room == "HALL":
            bus.publish(DoorOpened(door="after"))

def other(bus):
    @bus.on(DoorOpened)
    def light(event):
        bus.publish(LightOn(room="cellar"))

async def main(path, form):
    bus = open_bus(path, tape_format=form)
    subscribe(bus)
    await bus.publish(DoorOpened(door="hall"))
    await close_bus(bus)

if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
"""


def tickdeck(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tickdeck", *map(str, words)], capture_output=True, text=True, check=False
    )


@pytest.fixture(params=["sqlite", "jsonl"])
def tape(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("house.py").write_text(HOUSE)
    path = Path("house.db" if request.param == "sqlite" else "tapes")
    subprocess.run([sys.executable, "house.py", str(path), request.param], check=True, timeout=60, capture_output=True)
    return path


def test_the_tape_of_a_bus_is_listed_traced_exported_and_checked_by_its_path(tape: Path) -> None:
    listed = tickdeck("events", tape, "--import", "house", "--json")
    events = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [event["event_type"] for event in events] == [
        "house.door_opened", "house.light_on", "house.door_opened", "house.light_on",
    ]  # fmt: skip
    assert events[1]["room"] == "HALL"

    traced = json.loads(tickdeck("trace", tape, "2-1", "--import", "house.py", "--json").stdout)
    assert [cause["event_id"] for cause in traced["causes"]] == ["2", "1-1", "1"]

    for command in (
        ("events", tape),  # events of unknown classes are raw
        ("replay", tape, "--speed", "max", "--import", "house"),
        ("export", tape, "--format", "csv", "--out", "house.csv", "--import", "house"),
        ("tape", "check", tape, "--import", "house"),
        ("dead-letters", tape, "--import", "house"),
    ):
        done = tickdeck(*command)
        assert done.returncode == 0, (command, done.stderr)
        assert "Traceback" not in done.stderr
    assert "HALL" in Path("house.csv").read_text()


def test_a_program_on_a_bus_is_proven_with_its_wiring(tape: Path) -> None:
    proven = tickdeck("verify", tape, "--wiring", "house:subscribe", "--json")
    verdict = json.loads(proven.stdout)
    assert (proven.returncode, verdict["identical"], verdict["inputs"], verdict["events"]) == (0, True, 2, 4)

    again = tickdeck("verify", tape, "--wiring", "house.py:subscribe", "--digest", verdict["digest"])
    assert again.returncode == 0
    assert "is identical" in again.stdout
    assert tickdeck("verify", tape, "--wiring", "house:subscribe", "--digest", "0" * 64).returncode == 1

    differs = tickdeck("verify", tape, "--wiring", "house:other", "--json")
    assert differs.returncode == 1
    assert json.loads(differs.stdout)["first_divergence"]["seq"] == 2


def test_a_changed_field_that_causes_nothing_is_reported(tape: Path) -> None:
    if tape.is_dir():
        return  # every line has a checksum there
    with closing(sqlite3.connect(tape)) as connection, connection:
        connection.execute(
            'UPDATE events SET payload = replace(payload, \'"source":""\', \'"source":"x"\') WHERE seq = 3'
        )

    proven = tickdeck("verify", tape, "--wiring", "house:subscribe", "--json")

    assert proven.returncode == 1
    assert "changed since it was written" in json.loads(proven.stdout)["faults"][0]


def test_imports_and_proofs_that_fail_give_one_line(tape: Path) -> None:
    Path("broken.py").write_text("1 / 0")
    for words, said in (
        (("events", tape, "--import", "nowhere"), "cannot load nowhere"),
        (("events", tape, "--import", "broken.py"), "ZeroDivisionError"),
        (("events", tape, "--import", "gone.py"), "file not found"),
        (("verify", tape, "--wiring", "house:gone"), "has no function 'gone'"),
        (("verify", tape, "--wiring", "house"), "does not name a function"),
        (("verify", tape), "name the function that subscribes its handlers with --wiring"),
    ):
        done = tickdeck(*words)
        assert done.returncode == 2, (words, done.stderr)
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
