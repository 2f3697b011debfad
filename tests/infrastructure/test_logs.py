"""The log: JSON for machines, readable lines for people, linked to events, without secrets, and never an obstacle."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest

from tickdeck.application.bus.handling import HANDLING, Handling
from tickdeck.application.log import bound_logger
from tickdeck.domain.events import TimerFired
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.logs import LOG, last_logged_seq, log_to


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


EVENT = TimerFired(timer_id=1, name="t", due=1, event_id="7-1", correlation_id="7", seq=12)


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_without_a_terminal_each_line_is_one_json_object_with_run_event_and_fields():
    out = io.StringIO()

    with log_to(out, level="info", run="r1", current=lambda: EVENT):
        bound_logger("tickdeck.strategy", strategy="mine").info("crossed", symbol="BTCUSDT", fast=1.5)

    [line] = lines(out.getvalue())
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "tickdeck.strategy",
        "message": "crossed",
        "run": "r1",
        "strategy": "mine",
        "symbol": "BTCUSDT",
        "fast": 1.5,
        "event_id": "7-1",
        "correlation_id": "7",
        "seq": 12,
    }


def test_a_log_line_of_an_edge_names_the_edges_event():
    out = io.StringIO()
    token = HANDLING.set(Handling(None, EVENT))
    try:
        with log_to(out):
            logging.getLogger("tickdeck.bus").warning("slow")
    finally:
        HANDLING.reset(token)

    assert lines(out.getvalue())[0]["event_id"] == "7-1"


def test_the_file_is_complete_and_continued_after_a_restart(tmp_path: Path):
    for text in ("first", "second"):
        out = io.StringIO()
        with log_to(out, folder=tmp_path):
            bound_logger("tickdeck.run").info(text)
            bound_logger("tickdeck.run").debug("too small")
        assert out.getvalue() == ""

    assert [line["message"] for line in lines((tmp_path / LOG).read_text())] == ["first", "second"]


def test_an_error_is_one_line_for_people_and_complete_in_the_file(tmp_path: Path):
    out = Terminal()

    with log_to(out, folder=tmp_path, place=lambda error: "mine.py, line 3", before="<"):
        try:
            raise KeyError("gone")
        except KeyError:
            logging.getLogger("tickdeck.bus").exception("%s failed\x1b[2J", "mine.on_trade")

    assert out.getvalue().startswith("<")
    assert out.getvalue().count("\n") == 1
    assert "mine.on_trade failed\\x1b[2J: KeyError: 'gone' (mine.py, line 3)" in out.getvalue()
    [line] = lines((tmp_path / LOG).read_text())
    assert line["error"] == "KeyError: 'gone' (mine.py, line 3)"
    assert line["traceback"].startswith("Traceback (most recent call last)")


def test_with_details_people_get_the_traceback():
    out = Terminal()

    with log_to(out, details=True):
        try:
            raise ValueError("no")
        except ValueError:
            logging.getLogger("tickdeck").exception("failed")

    assert "Traceback (most recent call last)" in out.getvalue()


def test_secrets_are_removed_from_messages_fields_and_errors(tmp_path: Path):
    out = io.StringIO()

    with log_to(out, folder=tmp_path):
        try:
            raise ValueError("bad request: signature=SECRET1")
        except ValueError:
            bound_logger("tickdeck.strategy").exception("apiKey=%s", "SECRET2", headers={"token": "SECRET3"})

    written = out.getvalue() + (tmp_path / LOG).read_text()
    assert "SECRET" not in written
    assert written.count("[redacted]") >= 6


def test_a_field_may_have_any_name():
    out = io.StringIO()

    with log_to(out):
        bound_logger("tickdeck.strategy").warning("hello", name="n", args=1, msg="m", message="mine", ts=2, level="x")

    [line] = lines(out.getvalue())
    assert (line["message"], line["message_"], line["ts_"], line["level_"]) == ("hello", "mine", 2, "x")
    assert (line["name"], line["args"], line["msg"]) == ("n", 1, "m")


def test_lines_that_cannot_be_written_are_dropped_and_the_run_continues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("disk full")

    class Unshowable:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    with log_to(Broken(), folder=tmp_path):
        bound_logger("tickdeck.run").warning("lost")
        bound_logger("tickdeck.run").warning("unshowable", what=Unshowable())
        bound_logger("tickdeck.run").warning("after")

    assert capsys.readouterr() == ("", "")
    assert [line["message"] for line in lines((tmp_path / LOG).read_text())] == ["lost", "after"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="not on this machine: there is no /dev/full")
def test_a_full_disk_does_not_stop_the_run(tmp_path: Path):
    (tmp_path / LOG).symlink_to("/dev/full")

    with log_to(io.StringIO(), folder=tmp_path):
        bound_logger("tickdeck.run").warning("lost")


def test_a_folder_that_cannot_be_written_is_reported_in_one_line(tmp_path: Path):
    with (
        pytest.raises(ConfigError, match=r"log\.jsonl cannot be written"),
        log_to(io.StringIO(), folder=tmp_path / "no"),
    ):
        pass


def test_logging_is_restored_afterwards():
    log = logging.getLogger("tickdeck")
    before = (log.level, list(log.handlers))

    with log_to(io.StringIO(), level="debug"):
        assert log.level == logging.DEBUG

    assert (log.level, list(log.handlers)) == before


def test_without_a_run_a_plain_handler_gets_the_message_and_the_fields(caplog: pytest.LogCaptureFixture):
    bound_logger("tickdeck.strategy", strategy="mine").warning("crossed %d times", 3, symbol="BTCUSDT")

    [record] = caplog.records
    assert record.getMessage() == "crossed 3 times"
    assert record.fields == {"strategy": "mine", "symbol": "BTCUSDT"}


def test_a_long_file_becomes_an_old_one_and_the_oldest_goes(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tickdeck.infrastructure.logs._FILE_BYTES", 2_000)
    monkeypatch.setattr("tickdeck.infrastructure.logs._OLD_FILES", 2)

    with log_to(io.StringIO(), folder=tmp_path, current=lambda: EVENT):
        for number in range(60):
            bound_logger("tickdeck.run").info("line", number=number)

    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [LOG, f"{LOG}.1", f"{LOG}.2"]
    kept = [line["number"] for name in reversed(files) for line in lines((tmp_path / name).read_text())]
    assert kept == list(range(kept[0], 60))
    assert all((tmp_path / name).stat().st_size <= 2_000 for name in files)


@pytest.mark.parametrize("moved", [True, False])
def test_a_log_that_somebody_moves_away_or_removes_gets_a_successor(tmp_path: Path, monkeypatch, moved):
    monkeypatch.setattr("tickdeck.infrastructure.logs._LOOK_S", 0)
    old = tmp_path / f"{LOG}-monday"

    with log_to(io.StringIO(), folder=tmp_path):
        bound_logger("tickdeck.run").info("one")
        (tmp_path / LOG).rename(old)
        if not moved:
            old.unlink()
        bound_logger("tickdeck.run").info("two")
        bound_logger("tickdeck.run").info("three")

    assert [line["message"] for line in lines((tmp_path / LOG).read_text())] == ["two", "three"]
    assert not moved or [line["message"] for line in lines(old.read_text())] == ["one"]


def test_a_log_whose_folder_was_moved_goes_on_in_it(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tickdeck.infrastructure.logs._LOOK_S", 0)
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    folder.mkdir()

    with log_to(io.StringIO(), folder=folder):
        bound_logger("tickdeck.run").info("one")
        folder.rename(elsewhere)
        bound_logger("tickdeck.run").info("two")

    assert [line["message"] for line in lines((elsewhere / LOG).read_text())] == ["one", "two"]


def test_the_newest_event_of_a_log_is_found_behind_a_rotation(tmp_path: Path):
    with log_to(io.StringIO(), folder=tmp_path, current=lambda: EVENT):
        bound_logger("tickdeck.run").info("line")
    (tmp_path / LOG).rename(tmp_path / f"{LOG}.1")
    (tmp_path / LOG).write_text("")

    assert last_logged_seq(tmp_path) == EVENT.seq


@pytest.mark.parametrize(("out", "people", "is_json"), [(io.StringIO, True, False), (Terminal, False, True)])
def test_lines_are_for_people_or_for_machines_as_wanted(out, people, is_json):
    stream = out()

    with log_to(stream, level="info", people=people):
        bound_logger("tickdeck.run").info("line")

    text = stream.getvalue()
    assert text.startswith("{") == is_json
    assert "line" in text
    assert "\x1b" not in text  # no colours in a file


def test_a_line_of_the_file_is_made_once(tmp_path: Path):
    made = []

    def current() -> TimerFired:
        made.append(EVENT)
        return EVENT

    with log_to(io.StringIO(), folder=tmp_path, current=current):
        bound_logger("tickdeck.test").info("one")
        bound_logger("tickdeck.test").info("two")

    assert len(made) == 2
    assert [line["message"] for line in lines((tmp_path / LOG).read_text())] == ["one", "two"]
