"""The folder of a new run: it exists with its manifest, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tickdeck.errors import RunError, TapeError
from tickdeck.infrastructure.frame_segments import read_gone
from tickdeck.infrastructure.runs import Manifest, create_run, read_end, read_manifest
from tickdeck.infrastructure.tape.opening import IN_A_RUN, open_reader

MANIFEST = Manifest(
    run_id="maker", nonce="n", created_at="", tickdeck="", code="", python="", machine="", symbols=(), config={}
)
KILLED = """
import os, signal, sys
from pathlib import Path
import test_run_folder as t
from tickdeck.infrastructure.runs import create_run, folder
write, calls = folder.replace_file, []
def killed(*arguments, **options):
    if sys.argv[2] == "after":
        write(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
folder.replace_file = killed
create_run(Path(sys.argv[1]), t.MANIFEST)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_while_it_creates_a_run_does_not_take_its_name(tmp_path: Path, when: str) -> None:
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, when], env={**os.environ, "PYTHONPATH": paths}, check=False
    )
    folder = create_run(tmp_path, MANIFEST)

    assert killed.returncode == -9
    assert read_manifest(folder) == MANIFEST
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_run_has_an_empty_tape_from_its_beginning(tmp_path: Path, form: str) -> None:
    """So one without a tape has lost it."""
    folder = create_run(tmp_path, MANIFEST, tape_format=form)

    with open_reader(folder / IN_A_RUN[form]) as tape:
        assert tape.last_seq == 0


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    create_run(tmp_path, MANIFEST)

    with pytest.raises(RunError, match=r"there is a run maker under .* already"):
        create_run(tmp_path, MANIFEST)


def test_a_file_where_the_runs_should_be_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    with pytest.raises(RunError, match="cannot create the run's folder"):
        create_run(tmp_path / "data", MANIFEST)


def test_files_of_a_newer_format_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "end.json").write_text('{"format":3,"last_seq":1,"digest":null,"completed":true}')
    (tmp_path / "gone.json").write_text('{"format":2,"segments":[]}')

    with pytest.raises(RunError, match=r"end\.json: format 3 is newer than this Tickdeck; update it"):
        read_end(tmp_path)
    with pytest.raises(TapeError, match=r"gone\.json: format 2 is newer than this Tickdeck; update it"):
        read_gone(tmp_path)
