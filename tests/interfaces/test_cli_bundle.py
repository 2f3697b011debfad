"""`tickdeck bundle`: what is in a bundle, and that it proves the run without the originals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from bundle_kit import MINE, all_gone, contents, refused, rewrite

from tickdeck.application.redaction import REDACTED
from tickdeck.bootstrap import Run, start_run
from tickdeck.infrastructure.bundles.secrets import without_secrets
from tickdeck.infrastructure.config import RunConfig


def test_a_bundle_proves_the_run_when_the_originals_are_gone(tickdeck, recorded, tmp_path, monkeypatch):
    assert tickdeck("bundle", "last", "--out", "b.zip").exit_code == 0
    original = json.loads(tickdeck("verify", "last", "--json").stdout)
    all_gone()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    result = tickdeck("verify", "../b.zip", "--json")

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == original
    assert original["identical"] is True
    assert original["decisions"] > 0


def test_a_bundle_of_a_captured_session_is_proven_in_another_process(tickdeck, spawn, captured):
    tickdeck("bundle", "last", "--data", captured, "--out", "b.zip")

    result = spawn("verify", "b.zip", "--json")

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["identical"] is True


def test_a_run_of_a_simulated_market_needs_no_inputs(tickdeck, simulated):
    told = json.loads(tickdeck("bundle", "last", "--data", simulated, "--out", "b.zip", "--json").stdout)

    assert told["input_bytes"] == 0
    assert tickdeck("verify", "b.zip").exit_code == 0


def test_the_bundle_of_a_run_on_a_tape_contains_the_tape(tickdeck, trades):
    tickdeck("import", "binance-trades", trades, "--out", "btc.db")
    tickdeck("backtest", "--tape", "btc.db", "--strategy", "ema-cross")
    tickdeck("bundle", "last", "--out", "b.zip")
    all_gone()

    assert "inputs/0/btc.db" in contents()
    assert tickdeck("verify", "b.zip").exit_code == 0


def test_several_inputs_with_one_name_are_separate(tickdeck, trades):
    Path("other").mkdir()
    other = Path("other") / trades.name
    other.write_text(trades.read_text().replace("60000.5", "60001.5"))
    words = ("--tape", trades, "--tape", other, "--strategy", "ema-cross")
    assert tickdeck("backtest", *words).exit_code == 0
    tickdeck("bundle", "last", "--out", "b.zip")
    all_gone()

    assert tickdeck("verify", "b.zip").exit_code == 0


def test_the_source_of_a_strategy_module_is_bundled(tickdeck, tmp_path, monkeypatch):
    (tmp_path / "bundled_module.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    tickdeck("run", "--for", 5, "--speed", "max", "--strategy", "bundled_module:Mine")
    tickdeck("bundle", "last", "--out", "b.zip")
    all_gone()

    result = tickdeck("verify", "b.zip", "--json")

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["decisions"] > 0
    assert contents()["strategies/0/bundled_module.py"] == MINE.encode()


def test_a_strategys_own_modules_are_bundled(tickdeck, trades):
    Path("code").mkdir()
    Path("code/sizes.py").write_text('from decimal import Decimal\n\nSIZE = Decimal("0.01")\n')
    Path("code/mine.py").write_text("from sizes import SIZE\n" + MINE.replace('Decimal("0.01")', "SIZE"))
    tickdeck("backtest", "--tape", trades, "--strategy", "code/mine.py:Mine")
    tickdeck("bundle", "last", "--out", "b.zip")
    all_gone()

    result = tickdeck("verify", "b.zip", "--json")

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["decisions"] > 0
    assert json.loads(result.stdout)["notes"] == []


@pytest.mark.slow
def test_strategies_of_a_package_are_proven_without_the_package(tickdeck, spawn, trades):
    Path("desk/parts").mkdir(parents=True)
    Path("desk/__init__.py").write_text("")
    Path("desk/parts/__init__.py").write_text("")
    Path("desk/parts/sizes.py").write_text('from decimal import Decimal\n\nSIZE = Decimal("0.01")\n')
    for name in ("One", "Two"):
        text = MINE.replace('Decimal("0.01")', "SIZE").replace("class Mine", f"class {name}")
        Path(f"desk/{name.lower()}.py").write_text("from desk.parts.sizes import SIZE\n" + text)
    words = ("--strategy", "desk.one:One", "--strategy", "desk.two:Two")
    assert spawn("backtest", "--tape", trades, *words).returncode == 0
    bundled = spawn("bundle", "last", "--out", "b.zip")
    all_gone()

    result = spawn("verify", "b.zip", "--json")

    assert bundled.returncode == 0, bundled.stderr
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["decisions"] > 0
    assert json.loads(result.stdout)["notes"] == []


def killed(data: Path, run: Run) -> Path:
    """A copy of the run's folder in ``data``, in the state that a killed writer would leave. The run is closed."""
    run.kernel.feed(run.simulation._started)
    run.tape.wait_durable(run.kernel.seq)
    data.mkdir()
    shutil.copytree(run.folder, data / run.folder.name, ignore=shutil.ignore_patterns("*.lock", "*-shm"))
    run.close()
    return data / run.folder.name


def test_a_killed_run_is_bundled_with_what_was_only_in_the_log(tickdeck, tmp_path):
    folder = killed(tmp_path / "data", start_run(RunConfig(), tmp_path / "running"))
    assert (folder / "tape.db-wal").stat().st_size > 0

    tickdeck("bundle", folder, "--out", "b.zip")

    all_gone()
    result = tickdeck("verify", "b.zip", "--json")
    assert "run/tape.db-wal" in contents()
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["events"] > 0


def test_an_input_tape_of_a_killed_writer_is_bundled_with_its_log(tickdeck, recorded, tmp_path):
    tape = killed(tmp_path / "data", start_run(RunConfig(), tmp_path / "running")) / "tape.db"
    read_from(recorded, tape)

    tickdeck("bundle", "last", "--out", "b.zip")

    assert {"inputs/0/tape.db", "inputs/0/tape.db-wal"} <= contents().keys()


def test_an_input_that_is_a_folder_is_bundled_completely(tickdeck, recorded, tmp_path):
    folder = tmp_path / "session" / "tape"
    (folder / "index").mkdir(parents=True)
    for name in ("0001.jsonl", "index/times", "tape.lock"):
        (folder / name).write_text(name)
    read_from(recorded, folder)

    tickdeck("bundle", "last", "--out", "b.zip")

    assert {name for name in contents() if name.startswith("inputs/")} == {
        "inputs/0/tape/0001.jsonl",
        "inputs/0/tape/index/times",
    }


def read_from(run: Path, tape: Path) -> None:
    """Make the run's manifest say that its input was a tape of Tickdeck."""
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["inputs"][0].update(path=str(tape), format="tickdeck")
    (run / "manifest.json").write_text(json.dumps(manifest))


def test_the_log_of_a_killed_writer_is_bundled(tickdeck, recorded):
    log = recorded / "tape.db-wal"
    log.write_bytes(b"what a killed writer left")

    tickdeck("bundle", "last", "--out", "b.zip")

    assert contents()["run/tape.db-wal"] == b"what a killed writer left"


def test_logs_and_tapes_of_several_files_are_bundled_and_nothing_else(tickdeck, recorded):
    for name in ("log.jsonl", "tape/0001.jsonl"):
        (recorded / name).parent.mkdir(exist_ok=True)
        (recorded / name).write_text(name)
    for name in ("control.sock", "key.pem", "tape/tape.lock", "tape.db-shm"):
        (recorded / name).write_text(name)

    tickdeck("bundle", "last", "--out", "b.zip")

    assert {name for name in contents() if name.startswith("run/") and not name.startswith("run/code/")} == {
        "run/manifest.json",
        "run/end.json",
        "run/tape.db",
        "run/log.jsonl",
        "run/tape/0001.jsonl",
    }


def test_the_same_run_gives_the_same_file(tickdeck, recorded):
    for name in ("b.zip", "again.zip"):
        tickdeck("bundle", "last", "--out", name)

    assert Path("b.zip").read_bytes() == Path("again.zip").read_bytes()


def test_no_path_of_this_machine_is_in_a_bundle(tickdeck, recorded, tmp_path):
    tickdeck("bundle", "last", "--out", "b.zip")

    files = contents()
    for name in ("bundle.json", "run/manifest.json"):
        assert str(tmp_path).encode() not in files[name]


def test_by_default_the_file_is_named_after_the_run(tickdeck, recorded):
    result = tickdeck("bundle", "last")

    assert Path(f"{recorded.name}.zip").is_file()
    assert f"next  tickdeck verify {recorded.name}.zip" in result.stdout
    assert "unpacked; --without-inputs leaves them out" in result.stdout


def test_what_a_strategy_prints_stays_off_stdout(tickdeck, source, trades):
    source.write_text(f"print('hello')\n{MINE}")
    tickdeck("backtest", "--tape", trades, "--strategy", f"{source}:Mine")

    bundled = tickdeck("bundle", "last", "--out", "b.zip", "--json")
    verified = tickdeck("verify", "b.zip", "--json")
    looked = tickdeck("doctor", "--config", settings(source), "--json")

    assert json.loads(bundled.stdout)["out"] == "b.zip"
    assert json.loads(verified.stdout)["identical"] is True
    assert all(json.loads(line) for line in looked.stdout.splitlines())
    assert "hello" in bundled.stderr


def settings(source: Path) -> Path:
    Path("run.toml").write_text(f'[[strategies]]\nspec = "{source}:Mine"\n')
    return Path("run.toml")


def test_the_figures_are_printed_as_json(tickdeck, recorded, trades):
    told = json.loads(tickdeck("bundle", "last", "--out", "b.zip", "--json").stdout)

    assert (told["run"], told["out"], told["files"]) == (recorded.name, "b.zip", len(contents()) - 1)
    assert told["bytes"] == Path("b.zip").stat().st_size
    assert told["input_bytes"] == trades.stat().st_size


def test_a_divergence_is_shown_with_its_causes_from_the_bundle_alone(tickdeck, recorded):
    tickdeck("bundle", "last", "--out", "b.zip")
    changed = MINE.replace('"0.01"', '"0.02"')

    def change(files: dict[str, bytes], told: dict[str, Any]) -> None:
        import hashlib

        files["strategies/0/mine.py"] = changed.encode()
        for name in [name for name in files if name.startswith("run/code/")]:
            del files[name]
        told["files"] = [member for member in told["files"] if member["name"] in files]
        for member in told["files"]:
            if member["name"] == "strategies/0/mine.py":
                member["bytes"] = len(changed)
                member["sha256"] = hashlib.sha256(changed.encode()).hexdigest()

    rewrite(change)
    all_gone()

    result = tickdeck("verify", "b.zip", "--json")

    told = json.loads(result.stdout)
    assert result.exit_code == 4
    assert told["other_code"]
    assert told["first_divergence"]["recorded"]["event_type"] == "strategy.decision"
    assert told["first_divergence"]["causes"]
    assert any("source of strategy" in note for note in told["notes"])


# -- without the inputs -----------------------------------------------------------------------------------------------


def test_without_inputs_the_local_ones_are_read(tickdeck, recorded):
    result = tickdeck("bundle", "last", "--out", "b.zip", "--without-inputs", "--json")

    assert json.loads(result.stdout)["input_bytes"] == 0
    assert not any(name.startswith("inputs/") for name in contents())
    assert tickdeck("verify", "b.zip").exit_code == 0


def test_omitted_inputs_are_found_next_to_the_bundle(tickdeck, recorded, trades, tmp_path):
    tickdeck("bundle", "last", "--out", "b.zip", "--without-inputs")
    text = trades.read_text()
    all_gone()

    told = refused(tickdeck("verify", "b.zip"))
    assert "it has no inputs" in told
    assert f"put {trades.name} (SHA-256 " in told

    (tmp_path / "there").mkdir()
    shutil.move("b.zip", "there/b.zip")
    (tmp_path / "there" / trades.name).write_text(text)
    assert tickdeck("verify", "there/b.zip").exit_code == 0

    (tmp_path / "there" / trades.name).write_text(text + text.splitlines()[-1] + "\n")
    assert "has changed" in refused(tickdeck("verify", "there/b.zip"))


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_secrets_are_removed_and_listed_and_the_run_is_still_proven(tickdeck, source, trades):
    Path("run.toml").write_text(
        f'[[strategies]]\nspec = "{source}:Mine"\n'
        'parameters = { api_key = "hunter2", password = 1234567, token = ["s3cr3t"], window = 5 }\n'
    )
    assert tickdeck("backtest", "--config", "run.toml", "--tape", trades).exit_code == 0

    result = tickdeck("bundle", "last", "--out", "b.zip", "--json")

    everything = b"".join(contents().values()) + Path("b.zip").read_bytes()
    manifest = json.loads(contents()["run/manifest.json"])
    told = json.loads(result.stdout)
    assert not any(secret in everything for secret in (b"hunter2", b"1234567", b"s3cr3t"))
    assert manifest["config"]["strategies"][0]["parameters"] == {"api_key": REDACTED, "window": 5}
    assert "config.strategies[0].parameters.password" in told["redacted"]
    assert "strategies[0].parameters.api_key" in result.stderr
    verified = json.loads(tickdeck("verify", "b.zip", "--json").stdout)
    assert verified["identical"] is True
    assert verified["notes"] == told["notes"]
    assert "removed from the configuration as secrets" in verified["notes"][0]


def test_empty_values_and_zero_are_not_secrets():
    settings = {"api_key": "", "pass_phrase": 0, "password": None, "nested": [{"token": "x", "plain": 1}]}

    assert without_secrets(settings) == (
        {"api_key": "", "pass_phrase": 0, "password": None, "nested": [{"token": REDACTED, "plain": 1}]},
        ["nested[0].token"],
    )
