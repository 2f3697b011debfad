"""Stored events stay readable: golden files of all event types, made by tools/golden_events.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import golden_events
from tickdeck.domain.events import DomainEvent, RawEvent, event_class, event_from_json

BUILT_IN = sorted(golden_events.built_in_classes(), key=lambda cls: cls.event_type)
FILES = sorted(golden_events.FOLDER.glob("*.json"))


@pytest.mark.parametrize("cls", BUILT_IN, ids=lambda cls: cls.event_type)
def test_every_version_of_a_type_has_its_golden_file(cls: type[DomainEvent]) -> None:
    missing = [
        version
        for version in range(1, cls.version + 1)
        if not golden_events.golden_path(cls.event_type, version).exists()
    ]

    assert missing == [], f"{cls.event_type}: run tools/golden_events.py before its fields change again"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_event_round_trips_unchanged(path: Path) -> None:
    line = path.read_bytes().removesuffix(b"\n")
    match = re.fullmatch(r"(?P<type>[a-z0-9_.]+)\.v(?P<version>\d+)", path.stem)
    assert match is not None
    cls = event_class(match["type"])
    assert cls is not None, "a type that tapes hold is never taken away"

    event = event_from_json(line)

    assert type(event) is cls
    assert not isinstance(event, RawEvent)
    if int(match["version"]) == cls.version:
        assert event.to_json() == line, "its fields have changed: give the class a new version and an upcast"


def test_the_tool_does_not_change_existing_golden_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(golden_events, "FOLDER", tmp_path / "tests" / "golden")
    (tmp_path / "tests").mkdir()

    golden_events.main()
    assert len(capsys.readouterr().out.splitlines()) == len(BUILT_IN)
    kept = golden_events.golden_path("order.filled", 2)
    assert kept.read_bytes() == (Path(__file__).parents[2] / "golden" / kept.name).read_bytes()
    kept.write_bytes(b"older")
    golden_events.main()

    assert capsys.readouterr().out == ""
    assert kept.read_bytes() == b"older"
