"""Gate: ``verify`` finds any change of a run's tape or input files, and names the place."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import pytest
from forging import forge_lines
from gate_runs import (
    causes,
    config,
    event_at,
    first_seq,
    head_of_capture,
    play,
    prove,
    put_payload,
    raw_payload,
    rows,
    tamper,
    tape_of,
    verdict_of,
    with_other_digit,
)

from tickdeck.bootstrap import verify_run
from tickdeck.errors import RunError, TapeError
from tickdeck.infrastructure.tape import SqliteTapeReader
from tickdeck.infrastructure.tape.opening import tape_path


@pytest.fixture(scope="module")
def fine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = play(config("Busy", "ema-cross", seconds=5), tmp_path_factory.mktemp("data")).folder
    prove(folder)
    return folder


@pytest.fixture
def spoilt(fine: Path, tmp_path: Path, meant_to_differ: set[Path]) -> Path:
    """A copy of an intact run, to be damaged by the test."""
    folder = Path(shutil.copytree(fine, tmp_path / fine.name))
    meant_to_differ.add(folder)
    return folder


DERIVED = {
    "market.candle": "volume",
    "strategy.decision": "quantity",
    "risk.approved": "quantity",
    "order.submitted": "quantity",
    "order.filled": "fee",
    "position.opened": "average_price",
}


@pytest.mark.parametrize(("event_type", "field"), DERIVED.items())
def test_a_changed_digit_of_a_derived_event_is_caught_at_its_place(spoilt: Path, event_type: str, field: str) -> None:
    seq = first_seq(spoilt, event_type)
    untouched = event_at(spoilt, seq)
    put_payload(spoilt, seq, with_other_digit(raw_payload(spoilt, seq), field))

    divergence = verdict_of(spoilt).divergence

    assert divergence is not None
    assert divergence.seq == seq
    assert divergence.recorded is not None
    assert divergence.recorded != untouched
    assert divergence.executed == untouched


def where_wrong(folder: Path) -> int | None:
    """The ``seq`` at which the proof fails or finds the tape damaged; ``None`` if it finds nothing."""
    try:
        divergence = verdict_of(folder).divergence
    except (TapeError, RunError) as error:
        return int(re.findall(r"seq ([0-9]+)", str(error))[0])
    return divergence.seq if divergence is not None else None


def test_any_changed_digit_of_any_derived_event_is_caught(spoilt: Path) -> None:
    rng = random.Random(3)
    derived = [row for row in rows(spoilt)["events"] if b'"event_id":"' in row[-1] and b"-" in row[-1][:30]]
    assert len(derived) > 100
    for _ in range(25):
        row = rng.choice(derived)
        seq, payload = row[0], row[-1].decode()
        at = rng.choice([i for i, c in enumerate(payload) if c.isdigit()])
        changed = payload[:at] + str((int(payload[at]) + rng.randrange(1, 10)) % 10) + payload[at + 1 :]
        put_payload(spoilt, seq, changed)
        place = where_wrong(spoilt)
        assert place is not None, f"{payload} -> {changed}"
        if f'"seq":{seq},' in changed:  # otherwise it is at another position now
            assert place == seq
        put_payload(spoilt, seq, payload)
    assert verdict_of(spoilt).identical


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_change_without_effects_is_found_by_the_digest_even_with_valid_checksums(
    tmp_path: Path, meant_to_differ: set[Path], form: str
) -> None:
    """The metadata of one trade is changed. Nothing computes with it, so the execution is the same."""
    folder = play(config("ema-cross", seconds=2, tape_format=form), tmp_path).folder
    before, _ = verify_run(folder)
    assert (before.identical, before.complete) == (True, True)
    meant_to_differ.add(folder)
    if form == "sqlite":
        seq = first_seq(folder, "market.trade", after=100)
        payload = raw_payload(folder, seq)
        put_payload(folder, seq, payload.replace('"metadata":{}', '"metadata":{"note":"forged"}'))
    else:
        done: list[bytes] = []

        def change(line: bytes) -> bytes:
            if b'"market.trade"' not in line or done:
                return line
            done.append(line)
            return line.replace(b'"metadata":{}', b'"metadata":{"note":"forged"}')

        assert forge_lines(tape_path(folder), change) == 1

    verdict, _ = verify_run(folder)

    assert verdict.divergence is None
    assert (verdict.identical, verdict.complete) == (False, False)
    assert any("the tape's digest does not match" in fault for fault in verdict.faults)
    assert verdict.digest != before.digest


@pytest.mark.parametrize("event_type", DERIVED)
def test_a_removed_derived_event_is_caught_at_its_place(spoilt: Path, event_type: str) -> None:
    seq = first_seq(spoilt, event_type)
    tamper(spoilt, "DELETE FROM events WHERE seq = ?", seq)

    divergence = verdict_of(spoilt).divergence

    assert divergence is not None
    assert divergence.seq == seq
    assert divergence.recorded is None
    assert divergence.executed is not None
    assert divergence.executed.event_type == event_type


def test_a_removed_end_of_the_last_cascade_is_caught(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    run = play(config("Parting", seconds=2), tmp_path)
    meant_to_differ.add(run.folder)
    tamper(run.folder, "DELETE FROM events WHERE seq = ?", run.kernel.seq)

    divergence = verdict_of(run.folder).divergence

    assert divergence is not None
    assert (divergence.seq, divergence.recorded) == (run.kernel.seq, None)


def test_a_removed_derived_event_is_caught_where_the_market_is_in_a_file(
    shared: Path, tmp_path: Path, meant_to_differ: set[Path]
) -> None:
    folder = play(config("ema-cross", tapes=(head_of_capture(shared, tmp_path),), seconds=20), tmp_path).folder
    meant_to_differ.add(folder)
    seq = first_seq(folder, "market.candle")
    tamper(folder, "DELETE FROM events WHERE seq = ?", seq)

    divergence = verdict_of(folder).divergence

    assert divergence is not None
    assert (divergence.seq, divergence.recorded) == (seq, None)


def add_event(folder: Path, seq: int, like: int, event_id: str) -> None:
    """A copy of the event at ``like``, with another position and id."""
    payload = raw_payload(folder, like)
    old_id = event_at(folder, like).event_id
    payload = payload.replace(f'"event_id":"{old_id}"', f'"event_id":"{event_id}"', 1)
    payload = payload.replace(f'"seq":{like},', f'"seq":{seq},', 1)
    tamper(
        folder,
        "INSERT INTO events SELECT ?, type_id, ts, symbol, NULL, NULL, correlation_id, ? FROM events WHERE seq = ?",
        seq,
        payload,
        like,
    )


def test_a_derived_event_added_at_the_end_is_caught_at_its_place(spoilt: Path) -> None:
    with SqliteTapeReader(tape_of(spoilt)) as tape:
        end = tape.last_seq
    add_event(spoilt, end + 1, first_seq(spoilt, "order.filled"), f"{event_at(spoilt, end).event_id}-1")

    divergence = verdict_of(spoilt).divergence

    assert divergence is not None
    assert divergence.seq == end + 1
    assert divergence.recorded is not None
    assert divergence.recorded.event_type == "order.filled"
    assert divergence.executed is None


def test_a_derived_event_added_in_a_gap_of_the_tape_is_caught_at_its_place(
    shared: Path, tmp_path: Path, meant_to_differ: set[Path]
) -> None:
    folder = play(config("ema-cross", tapes=(head_of_capture(shared, tmp_path),), seconds=20), tmp_path).folder
    meant_to_differ.add(folder)
    like = first_seq(folder, "market.candle")
    hole = like - 2  # where an event of the file is
    assert hole not in [row[0] for row in rows(folder)["events"]]
    add_event(folder, hole, like, "7-1")

    divergence = verdict_of(folder).divergence

    assert divergence is not None
    assert divergence.seq == hole
    assert divergence.executed is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("config", "paper", "default_balance"), "130000"),
        (("config", "paper", "taker_fee"), "0"),
        (("config", "risk", "price_band"), "0.04"),
        (("config", "snapshot_depth"), 16),
        (("config", "seed"), 2),
        (("symbols",), ["BTCUSDT", "ETHUSDT"]),
        (("strategies", 0, "sha256"), "0" * 64),
        (("strategies", 1, "parameters", "fast"), 11),
        (("nonce",), "0" * 16),
    ],
)
def test_a_changed_manifest_is_reported_even_if_it_changes_no_event(
    spoilt: Path, place: tuple[str | int, ...], value: object
) -> None:
    path = spoilt / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    within = manifest
    for key in place[:-1]:
        within = within[key]
    assert within[place[-1]] != value
    within[place[-1]] = value
    path.write_text(json.dumps(manifest), "utf-8")

    verdict = verdict_of(spoilt)

    assert not verdict.identical
    assert not verdict.complete
    assert any("manifest.json was changed" in fault for fault in verdict.faults)


def test_a_changed_input_is_caught_where_its_effects_begin(spoilt: Path) -> None:
    seq = first_seq(spoilt, "venue.fill_reported")
    effect = first_seq(spoilt, "order.filled", after=seq)
    put_payload(spoilt, seq, with_other_digit(raw_payload(spoilt, seq), "fee"))

    divergence = verdict_of(spoilt).divergence

    assert divergence is not None
    assert divergence.seq == effect
    assert causes(spoilt, divergence)[0].event_type == "venue.fill_reported"
    assert causes(spoilt, divergence)[-1].is_input


@pytest.mark.parametrize("field", ["event_id", "seq", "ts_ingress"])
def test_a_changed_stamp_of_an_input_is_caught(spoilt: Path, field: str) -> None:
    seq = first_seq(spoilt, "market.trade", after=200)
    put_payload(spoilt, seq, with_other_digit(raw_payload(spoilt, seq), field))
    place = where_wrong(spoilt)
    assert place is not None
    assert field != "event_id" or place == seq


def test_a_removed_input_of_a_run_without_files_is_refused_with_its_place(spoilt: Path) -> None:
    seq = first_seq(spoilt, "market.tick", after=200)
    tamper(spoilt, "DELETE FROM events WHERE seq = ?", seq)
    with pytest.raises(RunError, match=f"no event with seq {seq} on the tape or left in the input files"):
        verify_run(spoilt)


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_a_changed_input_file_is_refused(shared: Path, tmp_path: Path, meant_to_differ: set[Path], harm: str) -> None:
    file = head_of_capture(shared, tmp_path)
    folder = play(config("ema-cross", tapes=(file,), seconds=2), tmp_path).folder
    meant_to_differ.add(folder)
    if harm == "gone":
        file.unlink()
    else:
        with file.open("r+b") as stream:
            stream.seek(-5, 2)
            stream.write(b"\0")
    with pytest.raises(RunError, match=f"input {file} {'is gone' if harm == 'gone' else 'has changed'}; restore"):
        verify_run(folder)


def test_a_tape_that_changed_after_it_was_another_runs_input_is_refused(
    tmp_path: Path, meant_to_differ: set[Path]
) -> None:
    first = play(config("ema-cross", seconds=4), tmp_path).folder
    second = play(config("ema-cross", seconds=4, tapes=(first,)), tmp_path).folder
    meant_to_differ.update((first, second))
    tamper(first, "DELETE FROM events WHERE seq = ?", first_seq(first, "market.trade"))
    with pytest.raises(RunError, match="has changed"):
        verify_run(second)
