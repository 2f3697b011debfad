"""The bundle of a live run is proven where nothing else of the run is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_archive import PlainFeed
from test_live_resume import SECOND, resumed, stopped
from test_live_run import START

from tickdeck.bootstrap import archive_market, verify_run
from tickdeck.bootstrap.feeds import FEEDS
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.bundles import pack, unpacked
from tickdeck.infrastructure.frames import FrameWriter

FEEDS["plain"] = lambda config, symbols, clock: PlainFeed()
ACCOUNTS = {"main": AccountConfig(exchange="plain", credentials="file:/home/ops/keys", owner="ops")}


def proven_elsewhere(folder: Path, *gone: Path) -> None:
    bundle = folder.parents[1] / "run.zip"
    pack(folder, bundle)
    for place in (folder, *gone):
        shutil.rmtree(place)
    with unpacked(bundle) as found:
        assert b"/home/ops" not in (found.folder / "manifest.json").read_bytes()
        assert verify_run(found.folder)[0].identical


@pytest.mark.long
@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_the_bundle_of_a_resumed_live_run_is_proven(tmp_path: Path, form: str) -> None:
    folder = stopped(tmp_path / "data", exchange="plain", accounts=ACCOUNTS, tape_format=form)
    resumed(folder, 60)

    proven_elsewhere(folder)


def test_a_bundle_has_the_market_data_that_was_archived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = FrameWriter.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "segment", 500)
    folder = stopped(tmp_path / "data", exchange="plain", accounts=ACCOUNTS)
    resumed(folder, 60)  # which begins a segment of its own, however few the first part of the run has
    assert archive_market(folder, older_than=None, now=START + 1_000 * SECOND, to=tmp_path / "archive")

    proven_elsewhere(folder, tmp_path / "archive")
