"""Runs that cannot be bundled are reported with the reason, and existing files are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bundle_kit import MINE, refused

from tickdeck.bootstrap import start_run
from tickdeck.infrastructure.config import RunConfig


def test_an_existing_file_is_not_overwritten(tickdeck, recorded):
    Path("b.zip").write_text("mine")

    assert "b.zip: already exists" in refused(tickdeck("bundle", "last", "--out", "b.zip"))
    assert Path("b.zip").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_reported(tickdeck, recorded):
    assert "no/b.zip: there is no folder no; create it, or name another place with --out" in refused(
        tickdeck("bundle", "last", "--out", "no/b.zip")
    )


def test_a_run_that_is_being_written_is_not_bundled(tickdeck, tmp_path):
    run = start_run(RunConfig(), tmp_path / "tickdeck-data")
    try:
        run.kernel.feed(run.simulation._started)
        run.tape.wait_durable(1)
        told = refused(tickdeck("bundle", "last", "--out", "b.zip"))
    finally:
        run.close()

    assert "is running; stop it first" in told
    assert not Path("b.zip").exists()


def test_a_missing_or_changed_input_is_reported(tickdeck, recorded, trades):
    text = trades.read_text()
    trades.write_text(text + "\n")
    assert "has changed" in refused(tickdeck("bundle", "last", "--out", "b.zip"))
    trades.unlink()
    assert "is gone; restore it to that place, or bundle the run with --without-inputs" in refused(
        tickdeck("bundle", "last", "--out", "b.zip")
    )
    assert not list(Path.cwd().glob("*.zip"))
    assert tickdeck("bundle", "last", "--out", "b.zip", "--without-inputs").exit_code == 0


def test_a_missing_source_is_reported_and_a_changed_one_is_noted(tickdeck, recorded, source):
    source.write_text(MINE + "\n# later\n")
    result = tickdeck("bundle", "last", "--out", "b.zip")
    assert "the source of strategy Mine had changed since the run" in result.stderr

    source.unlink()
    assert "there is no file" in refused(tickdeck("bundle", "last", "--out", "c.zip"))


def test_a_strategy_without_a_source_is_reported(tickdeck, recorded, monkeypatch):
    monkeypatch.setattr("tickdeck.infrastructure.bundles.packing.source_files", lambda cls: [])

    assert "is gone; restore it" in refused(tickdeck("bundle", "last", "--out", "b.zip"))


def test_a_file_that_cannot_be_read_is_reported(tickdeck, recorded, monkeypatch):
    opened = Path.open

    def denied(path: Path, *words: Any, **options: Any) -> Any:
        if path.name == "mine.py" and words == ("rb",):
            raise PermissionError(13, "Permission denied")
        return opened(path, *words, **options)

    monkeypatch.setattr(Path, "open", denied)

    told = refused(tickdeck("bundle", "last", "--out", "b.zip"))

    assert "mine.py: Permission denied; the bundle needs this file" in told
