"""Help for every command, and that showing it is fast."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

import tickdeck as library
from tickdeck.interfaces.cli.group import COMMANDS, main

HEAVY = [
    "tickdeck.bootstrap",
    "tickdeck.infrastructure.config",
    "tickdeck.infrastructure.exchanges",
    "tickdeck.infrastructure.readers",
    "tickdeck.infrastructure.runs",
    "tickdeck.infrastructure.tape",
    "tickdeck.infrastructure.venue",
    "aiohttp",
    "rich",
    "sqlite3",
    "pydantic",
    "uvloop",
    "hypothesis",
    "numpy",
]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(tickdeck, name):
    result = tickdeck(name, "--help")

    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"tickdeck {name}" in result.stdout.partition("Example")[2]
    assert "--json" in result.stdout


def test_help_names_every_command_with_its_purpose(tickdeck):
    shown = tickdeck("--help").stdout

    for name, (_, purpose) in COMMANDS.items():
        assert f"  {name}" in shown
        assert purpose in " ".join(shown.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_called_by_its_own_name(name):
    command = main.get_command(None, name)

    assert command is not None
    assert command.name == name


def test_without_a_command_help_is_shown(tickdeck):
    result = tickdeck()

    assert result.exit_code == 0
    assert result.stdout == tickdeck("--help").stdout


def test_the_version_is_shown(tickdeck):
    assert re.fullmatch(rf"tickdeck {library.__version__}(\+[0-9a-f]{{12}})?\n", tickdeck("--version").stdout)


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["events", "--help"]])
def test_help_loads_no_heavy_modules(words):
    code = (
        "import json, sys\n"
        "before = set(sys.modules)\n"  # a coverage tool's own, say
        "from tickdeck.interfaces.cli import main\n"
        f"try: main({words!r}, prog_name='tickdeck')\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout

    loaded = json.loads(shown.splitlines()[-1])
    assert "Usage: tickdeck" in shown
    assert [name for name in HEAVY if name in loaded] == []
