"""``tickdeck tape check|repair|convert|compact``, and runs that write either format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tickdeck.infrastructure.tape import JsonlTapeReader, SqliteTapeReader


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a run in each format; read it only."""
    from click.testing import CliRunner

    from tickdeck.interfaces.cli import main

    folder = tmp_path_factory.mktemp("forms")
    for form in ("sqlite", "jsonl"):
        words = ["run", "--for", "5", "--speed", "max", "--data", str(folder / form), "--tape-format", form]
        result = CliRunner().invoke(main, words, prog_name="tickdeck")
        assert result.exit_code == 0, result.output
    return folder


def tape_of(folder: Path, form: str) -> Path:
    (found,) = folder.glob(f"*/{'tape.db' if form == 'sqlite' else 'tape'}")
    return found


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


# -- runs ------------------------------------------------------------------------------------------------------------


def test_a_run_writes_the_same_events_in_either_form(data: Path) -> None:
    with (
        SqliteTapeReader(tape_of(data / "sqlite", "sqlite")) as one,
        JsonlTapeReader(tape_of(data / "jsonl", "jsonl")) as other,
    ):
        events = list(one.read())
        assert events == list(other.read())
    assert len(events) > 100
    nonces = {json.loads(path.read_bytes())["nonce"] for path in data.glob("*/*/manifest.json")}
    assert len(nonces) == 1


def test_a_run_in_json_lines_is_read_proven_listed_resumed_and_run_on(tickdeck, data: Path, lines) -> None:
    folder = data / "jsonl"

    assert tickdeck("verify", "last", "--data", folder, "--json").exit_code == 0
    listed = lines(tickdeck("events", "last", "--data", folder, "--type", "run.*", "--json"))
    assert [event["event_type"] for event in listed] == ["run.started", "run.stopped"]
    (run,) = lines(tickdeck("runs", "--data", folder, "--json"))
    assert (run["status"], run["tape"]) == ("completed", str(tape_of(folder, "jsonl").resolve()))
    book = tickdeck("book", "last", "--data", folder, "--json")
    assert book.exit_code == 0, book.stderr
    again = tickdeck("run", "--tape", run["tape"], "--speed", "max", "--data", "new", "--json")
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout)["ticks"] > 100
    assert tickdeck("run", "--resume", "last", "--speed", "max", "--data", folder, "--json").exit_code == 0


def test_a_run_on_a_tape_in_json_lines_is_proven_resumed_and_bundled(tickdeck, data: Path) -> None:
    tape = tape_of(data / "jsonl", "jsonl")
    ran = tickdeck("run", "--tape", tape, "--speed", "max", "--data", "new", "--json")
    assert ran.exit_code == 0, ran.stderr

    for command in (("verify", "last"), ("run", "--resume", "last"), ("events", "last"), ("bundle", "last")):
        result = tickdeck(*command, "--data", "new", "--json")
        assert result.exit_code == 0, (command, result.stderr)
    bundle = json.loads(result.stdout)
    proven = tickdeck("verify", bundle["out"], "--json")
    assert proven.exit_code == 0, proven.stderr
    assert json.loads(proven.stdout)["identical"] is True


def test_the_format_may_be_set_in_the_configuration(tickdeck) -> None:
    Path("run.toml").write_text('tape_format = "jsonl"\n')

    result = tickdeck("run", "--config", "run.toml", "--for", 2, "--speed", "max", "--json")

    assert Path(json.loads(result.stdout)["tape"]).name == "tape"
    assert (Path(json.loads(result.stdout)["tape"]) / "000001.jsonl").is_file()


def test_an_unknown_format_gives_one_clear_line(tickdeck) -> None:
    result = tickdeck("run", "--tape-format", "csv", "--for", 2)

    assert result.exit_code == 2
    assert result.stderr == "tickdeck: error: tape_format is 'csv'; give 'sqlite' or 'jsonl'\n"


# -- check and repair ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_an_intact_tape_ends_with_0_and_lists_the_checks(tickdeck, data: Path, form: str) -> None:
    for place in ("last", tape_of(data / form, form), tape_of(data / form, form).parent):
        result = tickdeck("tape", "check", place, "--data", data / form)
        assert result.exit_code == 0, result.stderr
        assert ": sound\n" in result.stdout
        assert result.stdout.count("  checked: ") >= 4

    found = json.loads(tickdeck("tape", "check", "last", "--data", data / form, "--json").stdout)
    assert (found["ok"], found["form"], found["problems"]) == (True, form, [])
    assert found["events"] > 100


@pytest.fixture
def copy(tmp_path: Path, data: Path) -> Path:
    """A tape in JSON Lines, to be damaged by the test."""
    return Path(shutil.copytree(tape_of(data / "jsonl", "jsonl"), tmp_path / "copy"))


def test_damage_ends_with_1_and_names_file_line_and_bytes(tickdeck, copy: Path) -> None:
    flip(copy / "000001.jsonl", 5_000)

    result = tickdeck("tape", "check", copy)
    as_json = tickdeck("tape", "check", copy, "--json")
    repaired = tickdeck("tape", "repair", copy, "--json")
    read = tickdeck("run", "--tape", copy)

    assert (result.exit_code, as_json.exit_code, repaired.exit_code) == (1, 1, 1)
    assert ": not sound\n" in result.stdout
    assert "000001.jsonl, line " in result.stdout
    (problem,) = json.loads(as_json.stdout)["problems"]
    first, last = map(int, problem["where"].rpartition("bytes ")[2].split(" to "))
    assert first <= 5_000 <= last
    assert json.loads(repaired.stdout)["problems"] == [problem]
    assert read.exit_code == 3
    assert read.stderr.startswith(f"tickdeck: error: {copy / '000001.jsonl'}, line ")
    assert read.stderr.count("\n") == 1


def test_a_torn_tail_is_reported_then_cut_off(tickdeck, copy: Path) -> None:
    whole = (copy / "000001.jsonl").read_bytes()
    with (copy / "000001.jsonl").open("ab") as file:
        file.write(b'{"crc":')

    checked = tickdeck("tape", "check", copy)
    assert checked.exit_code == 1
    assert f"can be fixed: {copy / '000001.jsonl'}, byte {len(whole)}: 7 bytes follow" in checked.stdout
    assert f"`tickdeck tape repair {copy}`" in checked.stderr
    tried = tickdeck("tape", "repair", copy, "--dry-run")
    assert (tried.exit_code, tried.stdout.partition(":")[0]) == (0, "would fix")
    assert (copy / "000001.jsonl").read_bytes() != whole
    done = tickdeck("tape", "repair", copy)
    assert (done.exit_code, done.stdout.partition(":")[0]) == (0, "fixed")
    assert (copy / "000001.jsonl").read_bytes() == whole
    nothing = tickdeck("tape", "repair", copy)
    assert (nothing.exit_code, nothing.stdout) == (0, f"{copy}: there is nothing to fix\n")


def test_a_damaged_head_of_a_segment_ends_with_1(tickdeck, copy: Path) -> None:
    lines = (copy / "000001.jsonl").read_bytes()
    (copy / "000001.jsonl").write_bytes(lines.replace(b'"segment":{"format":2', b'"segment":{"format":1', 1))

    result = tickdeck("tape", "check", copy)

    assert result.exit_code == 1
    assert "000001.jsonl, line 1, bytes 0 to" in result.stdout


# -- convert and compact ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_tape_is_copied_there_and_back(tickdeck, data: Path, form: str) -> None:
    there = tickdeck("tape", "convert", "last", "--data", data / form, "--to", "jsonl", "--out", "lines", "--json")
    back = tickdeck("tape", "convert", "lines", "--to", "sqlite", "--out", "back.db")

    done: dict[str, Any] = json.loads(there.stdout)
    assert (there.exit_code, back.exit_code) == (0, 0)
    assert (done["form"], done["out_form"], done["out"]) == (form, "jsonl", "lines")
    assert f": {done['events']:,} events up to seq {done['last_seq']:,}, 0 snapshots\n" in back.stdout
    with SqliteTapeReader(Path("back.db")) as one, JsonlTapeReader(tape_of(data / "jsonl", "jsonl")) as other:
        assert list(one.read()) == list(other.read())


def test_a_copy_over_an_existing_file_is_refused(tickdeck, copy: Path) -> None:
    result = tickdeck("tape", "convert", copy, "--to", "jsonl", "--out", copy)

    assert result.exit_code == 2
    assert "already exists and is not overwritten; name another place with --out" in result.stderr


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_compacted_tape_reports_its_sizes_and_is_intact(tickdeck, data: Path, tmp_path: Path, form: str) -> None:
    shutil.copytree(data / form, tmp_path / form)

    people = tickdeck("tape", "compact", "last", "--data", form)
    found = json.loads(tickdeck("tape", "compact", "last", "--data", form, "--json").stdout)

    assert people.exit_code == 0
    assert " bytes: " in people.stdout
    assert ("segments: " in people.stdout) == (form == "jsonl")
    assert 0 < found["bytes_after"] <= found["bytes_before"]
    assert tickdeck("tape", "check", "last", "--data", form).exit_code == 0
    assert tickdeck("verify", "last", "--data", form).exit_code == 0


# -- wrong calls -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "repair", "compact"])
@pytest.mark.parametrize("place", ["none", "last", "./none.db"])
def test_a_path_without_a_tape_gives_one_clear_line(tickdeck, command: str, place: str) -> None:
    result = tickdeck("tape", command, place)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(("tickdeck: error: there are no runs", "tickdeck: error: there is no run"))
    assert result.stderr.count("\n") == 1


def test_a_run_without_a_tape_gives_one_clear_line(tickdeck, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "sqlite", tmp_path / "cut")
    tape = tape_of(tmp_path / "cut", "sqlite")
    tape.unlink()

    result = tickdeck("tape", "check", "last", "--data", "cut")

    assert result.exit_code == 2
    assert f"has no tape any more; restore cut/{tape.parent.name} from a copy" in result.stderr


def test_a_file_that_is_not_a_tape_gives_one_clear_line(tickdeck) -> None:
    Path("notes.txt").write_text("nothing\n" * 100)

    result = tickdeck("tape", "check", "notes.txt")

    assert result.exit_code == 2
    assert "notes.txt" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["check", "repair", "convert", "compact"])
def test_each_command_has_an_example_in_its_help(tickdeck, command: str) -> None:
    result = tickdeck("tape", command, "--help")

    assert result.exit_code == 0
    assert f"tickdeck tape {command}" in result.stdout.partition("Examples:")[2]


def test_without_a_command_the_group_shows_its_help(tickdeck) -> None:
    result = tickdeck("tape")

    assert result.exit_code == 0
    assert "Commands:" in result.stdout
    assert result.stderr == ""
