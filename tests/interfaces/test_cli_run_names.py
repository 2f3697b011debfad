"""Runs with a name, and the one command that starts or continues one."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from running import Running, tickdeck

from tickdeck.bootstrap import open_record, verify_run

RUN = ("run", "--name", "maker", "--speed", "max", "--for", "5", "--json")


def test_a_named_run_is_started_then_complete_and_its_name_is_taken(tmp_path: Path) -> None:
    started = tickdeck(*RUN, "--resume-or-start", data=tmp_path)
    again = tickdeck(*RUN, "--resume-or-start", data=tmp_path)
    taken = tickdeck(*RUN, data=tmp_path)

    assert started.returncode == 0
    assert json.loads(started.stdout)["run"] == "maker"
    assert again.returncode == 0
    assert "run maker is complete" in again.stderr
    assert taken.returncode == 2
    assert "there is a run maker under" in taken.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["maker"]


def test_a_named_run_that_was_killed_is_continued_by_the_command_that_started_it(tmp_path: Path) -> None:
    run = Running(tmp_path, "--name", "maker", "--for", "20")
    busy = tickdeck(*RUN, "--resume-or-start", data=tmp_path)
    run.end(signal.SIGKILL)
    before = list(open_record(tmp_path / "maker"))
    continued = tickdeck(*RUN, "--resume-or-start", data=tmp_path)
    after = list(open_record(tmp_path / "maker"))

    assert busy.returncode == 2
    assert "run maker is running in process" in busy.stderr
    assert continued.returncode == 0
    assert after[: len(before)] == before
    assert after[-1].event_type == "run.stopped"
    assert verify_run(tmp_path / "maker")[0].complete


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--name", "../x"), "is not a name"),
        (("--name", "last"), "'last' is no name for a run: it stands for the newest one"),
        (("--name", ""), "is not a name"),
        (("--name", "HALT"), "a file HALT beside the runs halts all of them"),
        (("--name", "x" * 65), "is not a name; use up to 64 letters"),
        (("--name", "-x"), "beginning with a letter or digit"),
        (("--resume-or-start",), "--resume-or-start needs --name"),
        (("--name", "a", "--resume-or-start", "--resume", "b"), "needs --name, and no --resume"),
        (("--name", "a", "--resume", "b"), "omit --name"),
    ],
)
def test_a_wrong_use_of_names_gives_one_line(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    said = tickdeck("run", *words, data=tmp_path)

    assert said.returncode == 2
    assert why in said.stderr
    assert not list(tmp_path.iterdir())


def test_a_run_without_its_manifest_is_not_taken_for_none(tmp_path: Path) -> None:
    assert tickdeck("run", "--name", "maker", "--for", "1", "--speed", "max", data=tmp_path).returncode == 0
    (tmp_path / "maker" / "manifest.json").unlink()

    said = tickdeck("run", "--name", "maker", "--resume-or-start", data=tmp_path)

    assert said.returncode == 2
    assert "run maker has a tape, but no manifest.json in" in said.stderr


def test_a_run_whose_folder_was_renamed_keeps_its_id_and_is_not_started_anew(tmp_path: Path) -> None:
    assert tickdeck(*RUN, data=tmp_path).returncode == 0
    (tmp_path / "maker").rename(tmp_path / "monday")

    shown, listed = tickdeck("show", "maker", "--json", data=tmp_path), tickdeck("runs", data=tmp_path)
    again = tickdeck(*RUN, "--resume-or-start", data=tmp_path)

    assert json.loads(shown.stdout)["run"] == "maker"
    assert "monday (maker)" in listed.stdout
    assert again.returncode == 2
    assert "has the run maker; rename it back to maker, continue it with --resume monday" in again.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["monday"]


def test_of_several_copies_of_a_run_one_must_be_named(tmp_path: Path) -> None:
    assert tickdeck(*RUN, data=tmp_path).returncode == 0
    shutil.copytree(tmp_path / "maker", tmp_path / "monday")
    beside = tickdeck("show", "maker", "--json", data=tmp_path)
    (tmp_path / "maker").rename(tmp_path / "tuesday")

    told, started = tickdeck("show", "maker", data=tmp_path), tickdeck(*RUN, "--resume-or-start", data=tmp_path)
    named = tickdeck("show", "tuesday", "--json", data=tmp_path)

    assert beside.returncode == named.returncode == 0
    assert told.returncode == started.returncode == 2
    assert "have the run maker: monday, tuesday; name the one that you mean" in told.stderr
    assert "monday, tuesday" in started.stderr


def test_what_deletes_wants_the_name_of_the_folder(tmp_path: Path) -> None:
    assert tickdeck(*RUN, data=tmp_path).returncode == 0
    shutil.copytree(tmp_path / "maker", tmp_path / "kept")

    first, again = tickdeck("runs", "rm", "maker", data=tmp_path), tickdeck("runs", "rm", "maker", data=tmp_path)
    archived = tickdeck("runs", "archive", "maker", "--drop", data=tmp_path)

    assert first.returncode == 0
    for refused in (again, archived):
        assert refused.returncode == 2
        assert "has the run maker; name kept if you mean it, as it may be a copy" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert tickdeck("runs", "rm", "kept", data=tmp_path).returncode == 0
