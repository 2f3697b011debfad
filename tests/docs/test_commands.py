"""The commands in the documentation and in the help texts exist, and those of the pages for newcomers run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tickdeck.interfaces.cli import main
from tickdeck.interfaces.cli.group import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^ *```(?:sh)?\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`tickdeck ([^`]+)`")
_PIPE_OR_REDIRECT = re.compile(r"[|<>;&]+")


def command_lines(text: str) -> Iterator[list[str]]:
    """The arguments of each ``tickdeck`` command in ``text``, without comments, pipes and redirections."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars="|<>;&")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:  # text, not a command
            continue
        while words:
            end = next((at for at, word in enumerate(words) if _PIPE_OR_REDIRECT.fullmatch(word)), len(words))
            command, words = words[:end], words[end + 1 :]
            if command[:1] == ["tickdeck"]:
                yield command[1:]


def commands_of(page: Path) -> list[list[str]]:
    return [words for block in _BLOCK.findall(page.read_text("utf-8")) for words in command_lines(block)]


def parse(words: list[str]) -> None:
    """Raises ``click.UsageError`` if the command or one of its options does not exist."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and words[0] != "COMMAND" and not words[0].startswith("-"):
        inner = command.get_command(click.Context(command), words[0])
        if inner is None:
            raise click.UsageError(f"there is no command {words[0]!r}")
        command, words = inner, words[1:]
    command.make_parser(click.Context(command)).parse_args(list(words))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_documentation_has_options_that_exist(page: Path) -> None:
    for words in commands_of(page):
        parse(words)
    for text in _INLINE.findall(page.read_text("utf-8")):
        try:
            parse(shlex.split(text))
        except click.BadOptionUsage as error:
            if "requires an argument" not in error.message:  # an option may be named without its value
                raise


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_in_a_help_text_has_options_that_exist(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    for each in commands:
        examples = list(command_lines((each.help or "").partition("Example")[2].replace("Example: ", "")))
        for words in examples:
            parse(words)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a short run, a strategy and a file of trades, as the pages assume them."""
    monkeypatch.chdir(tmp_path)
    readme = (ROOT / "README.md").read_text("utf-8")
    (strategy,) = (code for code in re.findall(r"^```python\n(.*?)^```", readme, re.S | re.M) if "Breakout" in code)
    Path("breakout.py").write_text(strategy)
    trades = (f"{n},{60_000 + n % 7}.00,0.01,600.00,{1_723_075_200_000 + n * 100},true\n" for n in range(500))
    Path("BTCUSDT-trades-2024-08-08.csv").write_text("".join(trades))
    assert invoke(["run", "--for", "4", "--speed", "max"]).exit_code == 0
    return tmp_path


def invoke(words: list[str]) -> Result:
    return CliRunner().invoke(main, words, prog_name="tickdeck")


@pytest.mark.parametrize("name", ["README.md", "docs/replay.md", "docs/report.md", "docs/whatif.md", "docs/bundles.md"])
def test_the_commands_of_the_page_run_as_they_stand(workspace: Path, name: str) -> None:
    run_id = json.loads(invoke(["runs", "--json"]).stdout.splitlines()[0])["run"]
    commands = [words for words in commands_of(ROOT / name) if words[0] not in ("new",)]
    assert commands

    for words in commands:
        words = [re.sub(r"20\d{6}-\d{6}-[0-9a-f]+", run_id, word) for word in words]
        words = ["1-1" if word == "EVENT_ID" else word.replace("~", str(workspace)) for word in words]
        result = invoke(words)
        assert result.exit_code == 0, (words, result.output)


_KEYS = {
    "run": ["run", "--for", "1", "--speed", "max"],
    "backtest": ["backtest", "--tape", "BTCUSDT-trades-2024-08-08.csv"],
    "verify RUN": ["verify", "last"],
    "runs": ["runs"],
    "runs rm RUN": ["runs", "rm", "last"],
    "venue --cards": ["venue", "--cards"],
    "events --catalogue": ["events", "--catalogue"],
    "trace RUN EVENT_ID": ["trace", "last", "1"],
    "book RUN": ["book", "last"],
    "report RUN": ["report", "last"],
    "whatif RUN": ["whatif", "last", "--param", "fast=3"],
    "bundle RUN": ["bundle", "last", "--out", "bundle.zip"],
    "import FORMAT FILE": ["import", "auto", "BTCUSDT-trades-2024-08-08.csv", "--out", "imported.db"],
    "export RUN": ["export", "last", "--format", "csv", "--out", "out.csv"],
    "tape check RUN": ["tape", "check", "last"],
    "tape repair RUN": ["tape", "repair", "last"],
    "tape convert RUN": ["tape", "convert", "last", "--to", "jsonl", "--out", "converted"],
    "tape compact RUN": ["tape", "compact", "last"],
    "doctor": ["doctor"],
    "new NAME": ["new", "project"],
    "any command that fails": ["verify", "absent"],
}


@pytest.mark.parametrize("name", _KEYS)
def test_the_keys_of_json_are_documented(workspace: Path, name: str) -> None:
    page = (ROOT / "docs" / "json.md").read_text("utf-8")
    documented = {
        what.removeprefix("`tickdeck ").strip("`"): re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", keys))
        for what, keys in re.findall(r"^\| ([^|]+) \| [^|]+ \| (.+) \|$", page, re.MULTILINE)
    }
    documented["backtest"] = documented["run"] + documented["backtest"][1:]
    result = invoke([*_KEYS[name], "--json"])

    assert list(json.loads(result.stdout.splitlines()[0])) == documented[name], result.output


@pytest.mark.parametrize("what", ["orders", "history", "positions", "balances", "pnl", "health"])
def test_the_keys_of_show_are_documented(workspace: Path, what: str) -> None:
    page = (ROOT / "docs" / "json.md").read_text("utf-8")
    lines = dict(re.findall(r"^\| (`(?:tickdeck )?show [^|]+) \|[^|]*\| (.+) \|$", page, re.MULTILINE))
    (own,) = (keys for name, keys in lines.items() if f"`show RUN {what}`" in name or f"`{what}`" in name)
    common, own = (re.sub(r" \(.*?\)", "", keys) for keys in (lines["`tickdeck show RUN WHAT`"], own))
    own, _, of_each = own.partition(", each with ")
    answer = json.loads(invoke(["show", "last", what, "--json"]).stdout)

    assert list(answer) == re.findall(r"`(\w+)`", common) + re.findall(r"`(\w+)`", own.partition(";")[0])
    for row in answer[what if what in answer else "orders"] if of_each else ():
        assert list(row) == re.findall(r"`(\w+)`", of_each)
