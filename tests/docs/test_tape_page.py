"""The examples of docs/tape.md are run on a real tape of each form."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from tickdeck.infrastructure.tape.jsonl.lines import is_sound
from tickdeck.interfaces.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "tape.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tapes of two equal runs, by form."""
    tapes = {}
    for form, name in (("sqlite", "tape.db"), ("jsonl", "tape")):
        data = tmp_path_factory.mktemp(form)
        words = ["run", "--for", "60", "--speed", "max", "--data", str(data), "--tape-format", form]
        assert CliRunner().invoke(main, words).exit_code == 0
        (tapes[form],) = data.glob(f"*/{name}")
    return tapes


@pytest.mark.parametrize("statement", blocks("sql"))
def test_the_questions_in_sql_have_answers(runs: dict[str, Path], statement: str) -> None:
    if sqlite3.sqlite_version_info < (3, 38) and "->>" in statement:
        pytest.skip("not on this machine: this SQLite has no ->>")
    with closing(sqlite3.connect(runs["sqlite"])) as connection:
        assert connection.execute(statement).fetchall() != []


@pytest.mark.parametrize("command", blocks("sh"))
def test_the_commands_of_the_shell_find_something(runs: dict[str, Path], command: str) -> None:
    if shutil.which(command.split()[0]) is None:
        pytest.skip(f"not on this machine: there is no {command.split()[0]}")

    ran = subprocess.run(
        ["bash", "-c", command],
        cwd=runs["jsonl"].parent,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LC_ALL": "C"},
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout != ""


def test_the_lines_that_are_shown_have_the_form_of_those_on_a_tape(runs: dict[str, Path]) -> None:
    lines = (runs["jsonl"] / "000001.jsonl").read_bytes().splitlines()
    shown = [line.encode() for block in blocks("json") for line in block.splitlines()]

    assert all(map(is_sound, lines))
    for line in shown:
        words = re.findall(rb'"(\w+)":', line)
        assert any(set(words) <= set(re.findall(rb'"(\w+)":', other)) for other in lines), line
