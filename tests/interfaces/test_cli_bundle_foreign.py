"""``tickdeck verify FILE.zip`` with a file that is not a bundle, or was changed."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundle_kit import refused, rewrite
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.infrastructure.bundles.layout import is_safe, safe_name


@pytest.fixture
def bundle(tickdeck, recorded) -> Path:
    tickdeck("bundle", "last", "--out", "b.zip")
    return Path("b.zip")


def test_a_missing_file_is_reported(tickdeck):
    assert "gone.zip: there is no such file" in refused(tickdeck("verify", "gone.zip"))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and so on", b"words"])
def test_a_file_that_is_not_an_archive_is_reported(tickdeck, data):
    Path("b.zip").write_bytes(data)

    assert "b.zip: not a bundle, or damaged" in refused(tickdeck("verify", "b.zip"))


def test_an_unrelated_archive_is_reported(tickdeck):
    with zipfile.ZipFile("b.zip", "w") as archive:
        archive.writestr("holiday.txt", "sun")

    assert "Tickdeck did not make this bundle: it has no bundle.json" in refused(tickdeck("verify", "b.zip"))


def test_a_bundle_truncated_anywhere_is_reported(tickdeck, bundle):
    whole = bundle.read_bytes()
    for left in range(0, len(whole) - 1, len(whole) // 9):
        bundle.write_bytes(whole[:left])

        assert "b.zip: " in refused(tickdeck("verify", "b.zip"))


def test_a_flipped_byte_anywhere_is_reported_or_harmless(tickdeck, bundle):
    """A change is harmless if neither a name nor the content depends on it, such as a date."""
    whole = bundle.read_bytes()
    told = 0
    for place in range(10, len(whole), len(whole) // 40):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        bundle.write_bytes(damaged)
        result = tickdeck("verify", "b.zip")
        if result.exit_code:
            assert "b.zip: " in refused(result)
            told += 1
    assert told > 30


NASTY = ["../evil.py", "/evil.py", "run/../../evil.py", "run\\..\\evil.py", "C:evil.py", "run//evil", "evil.py", "run/"]


@pytest.mark.parametrize("name", NASTY)
def test_a_name_outside_the_folder_is_refused_and_nothing_is_written(tickdeck, bundle, tmp_path, name):
    def change(files: dict[str, bytes], told: dict[str, Any]) -> None:
        files[name] = b"evil"
        told["files"].append({"name": name, "bytes": 4, "sha256": "?"})

    rewrite(change)

    assert "points outside the bundle" in refused(tickdeck("verify", "b.zip"))
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("run", ["../../evil", "a/b", "", ".", "run id"])
def test_a_run_id_outside_the_folder_is_refused(tickdeck, bundle, run):
    rewrite(lambda files, told: told.update(run=run))

    assert f"{run!r} is not a run id" in refused(tickdeck("verify", "b.zip"))


@pytest.mark.parametrize("spec", ["/etc/evil.py:X", "../evil.py:X", "strategies/../../evil.py:X"])
def test_a_strategy_outside_the_folder_is_refused(tickdeck, bundle, spec):
    rewrite(_manifest(lambda manifest: manifest["strategies"][0].update(spec=spec)))

    assert "points outside the bundle" in refused(tickdeck("verify", "b.zip"))


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd"])
def test_an_input_outside_the_folder_is_refused(tickdeck, bundle, name):
    rewrite(lambda files, told: told["inputs"][0].update(name=name))

    assert "points outside the bundle" in refused(tickdeck("verify", "b.zip"))


def _manifest(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, bytes], dict[str, Any]], None]:
    """Change the manifest in the bundle, and correct its digest."""

    def changed(files: dict[str, bytes], told: dict[str, Any]) -> None:
        import hashlib

        manifest = json.loads(files["run/manifest.json"])
        change(manifest)
        data = files["run/manifest.json"] = json.dumps(manifest).encode()
        for member in told["files"]:
            if member["name"] == "run/manifest.json":
                member.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    return changed


def test_inputs_that_the_manifest_does_not_have_are_refused(tickdeck, bundle):
    rewrite(_manifest(lambda manifest: manifest.update(inputs=[])))

    assert "name different inputs" in refused(tickdeck("verify", "b.zip"))


def test_an_inconsistent_manifest_is_refused(tickdeck, bundle):
    rewrite(_manifest(lambda manifest: manifest["config"].update(tapes=[])))

    assert "its manifest.json is not consistent" in refused(tickdeck("verify", "b.zip"))


def test_missing_or_additional_files_are_refused(tickdeck, bundle):
    whole = bundle.read_bytes()
    for change in (
        lambda files, told: files.update({"run/more": b""}),
        lambda files, told: files.pop("run/tape.db"),
        lambda files, told: told["files"].clear(),
    ):
        bundle.write_bytes(whole)
        rewrite(change)

        assert "its files are not those that bundle.json lists" in refused(tickdeck("verify", "b.zip"))


def test_a_repeated_name_is_refused(tickdeck, bundle):
    with warnings.catch_warnings(), zipfile.ZipFile("b.zip", "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("run/tape.db", b"another")

    assert "its files are not those that bundle.json lists" in refused(tickdeck("verify", "b.zip"))


def test_changed_content_is_refused(tickdeck, bundle):
    whole = bundle.read_bytes()
    for data in (b"", b"x" * 10_000_000):
        bundle.write_bytes(whole)
        rewrite(lambda files, told, data=data: files.update({"run/tape.db": data}), compression=zipfile.ZIP_DEFLATED)

        assert "run/tape.db was changed since the bundle was made" in refused(tickdeck("verify", "b.zip"))


def test_a_bundle_larger_than_the_disk_is_refused(tickdeck, bundle):
    rewrite(lambda files, told: told["files"][0].update(bytes=1 << 60))

    assert "free some space there" in refused(tickdeck("verify", "b.zip"))


def test_a_newer_format_is_reported(tickdeck, bundle):
    rewrite(lambda files, told: told.update(format=2))

    assert "format 2 is newer than this Tickdeck" in refused(tickdeck("verify", "b.zip"))


def test_a_damaged_table_of_contents_is_reported(tickdeck, bundle):
    rewrite(lambda files, told: told.update(files="none"))

    assert "its bundle.json is damaged" in refused(tickdeck("verify", "b.zip"))


def test_an_oversized_table_of_contents_is_refused(tickdeck, bundle):
    rewrite(lambda files, told: told.update(notes=["x" * (17 << 20)]), compression=zipfile.ZIP_DEFLATED)

    assert "its bundle.json is too large" in refused(tickdeck("verify", "b.zip"))


parts = st.sampled_from(["..", ".", "", "run", "inputs", "strategies", "a", "b.py", "\\", "C:", "\0"])


@given(st.lists(parts, min_size=1, max_size=5).map("/".join))
def test_a_safe_name_stays_within_the_folder(name):
    if is_safe(name):
        root = Path("/elsewhere/of/it")
        assert (root / name).resolve().is_relative_to(root / name.split("/")[0])


@given(st.text(min_size=1).filter(lambda name: "/" not in name and name not in (".", "..")))
def test_any_file_name_can_be_made_safe(name):
    assert is_safe(f"inputs/0/{safe_name(name)}")
