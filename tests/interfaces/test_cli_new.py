"""``tickdeck new``: a project that works immediately."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tickdeck.infrastructure.config import load_config

FILES = {"README.md", "strategy.py", "run.toml", "tests/test_strategy.py", "pyproject.toml", ".gitignore"}


@pytest.fixture
def project(tickdeck) -> Path:
    assert tickdeck("new", "golden-breakout").exit_code == 0
    return Path("golden-breakout").resolve()


def run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_files_are_those_that_are_listed(tickdeck):
    result = tickdeck("new", "golden-breakout", "--json")

    told = json.loads(result.stdout)
    made = {path.relative_to("golden-breakout").as_posix() for path in Path("golden-breakout").rglob("*.*")}
    assert set(told["files"]) == made == FILES
    assert told["out"] == "golden-breakout"


def test_people_see_the_next_command(tickdeck):
    result = tickdeck("new", "golden-breakout")

    assert "  golden-breakout/strategy.py" in result.stdout
    assert "next  cd golden-breakout && tickdeck run --config run.toml --for 20" in result.stdout


def test_the_tests_of_the_project_pass(project):
    result = run(project, "pytest", "-q", "-p", "no:cacheprovider")

    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 passed" in result.stdout


@pytest.mark.slow
def test_the_tests_of_the_project_fail_when_the_strategy_is_broken(project):
    strategy = project / "strategy.py"
    strategy.write_text(strategy.read_text().replace("candle.close > max(highs)", "candle.close < min(highs)"))

    result = run(project, "pytest", "-q", "-p", "no:cacheprovider")

    assert "test_it_buys_when_the_price_breaks_out" in result.stdout
    assert result.returncode == 1


def test_the_project_runs_trades_and_is_proven(project):
    ran = run(project, "tickdeck", "run", "--config", "run.toml", "--for", 30, "--speed", "max", "--json")
    proven = run(project, "tickdeck", "verify", "last", "--json")

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["strategies"] == ["GoldenBreakout"]
    assert json.loads(ran.stdout)["fills"] > 0
    assert json.loads(proven.stdout)["identical"] is True


def test_the_settings_load_and_the_doctor_finds_nothing(project, tickdeck):
    assert load_config(project / "run.toml").strategies[0].spec == f"{project / 'strategy.py'}:GoldenBreakout"
    assert tickdeck("doctor", "--config", project / "run.toml").exit_code == 0


def test_the_python_files_pass_our_style_checks(project):
    result = run(project, "ruff", "check", "--isolated", "--select", "E,F,I,B,UP", "--line-length", "120", ".")

    assert result.returncode == 0, result.stdout + result.stderr


def test_files_of_runs_are_ignored_by_git(project):
    run(project, "tickdeck", "run", "--config", "run.toml", "--for", 1, "--speed", "max")

    assert (project / "tickdeck-data").is_dir()
    assert "tickdeck-data/" in (project / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize(
    ("name", "cls"), [("alpha", "Alpha"), ("rsi14_v2", "Rsi14V2"), ("A", "A"), ("sub/mean-reversion", "MeanReversion")]
)
def test_the_class_is_named_after_the_project(tickdeck, name, cls):
    Path("sub").mkdir()

    assert tickdeck("new", name).exit_code == 0
    assert f"class {cls}(Strategy):" in (Path(name) / "strategy.py").read_text()
    assert f'spec = "strategy.py:{cls}"' in (Path(name) / "run.toml").read_text()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("1st", "'1st' is not a valid project name"),
        ("a--b", "is not a valid project name"),
        ("two words", "is not a valid project name"),
        ("naïve", "is not a valid project name"),
        ("..", "is not a valid project name"),
        ("-", "is not a valid project name"),
        ("strategy", "a reserved name"),
        ("candle-event", "a reserved name"),
        ("none", "a reserved name"),
        ("tickdeck", "a reserved name"),
        ("taken", "taken: already exists"),
        ("taken/x", "taken/x: cannot be created: Not a directory; choose another name"),
        ("no/x", "no/x: there is no folder no; create it, or choose another name, without '/'"),
    ],
)
def test_an_invalid_name_is_reported_in_one_line(tickdeck, name, told):
    Path("taken").write_text("mine")

    result = tickdeck("new", name)

    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert Path("taken").read_text() == "mine"
    assert [path.name for path in Path.cwd().iterdir()] == ["taken"]
