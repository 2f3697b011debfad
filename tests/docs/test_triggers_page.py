"""What docs/triggers.md shows is a configuration, a condition or an action that a run takes."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path

from tickdeck.application.strategies import Rules
from tickdeck.domain.conditions import parse_condition
from tickdeck.domain.trading import parse_action
from tickdeck.infrastructure.config import config_from_dict

PAGE = (Path(__file__).parents[2] / "docs" / "triggers.md").read_text("utf-8")


def test_its_configurations_are_accepted() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

    assert len(blocks) == 2
    strategies, triggers = (config_from_dict(tomllib.loads(block, parse_float=Decimal)) for block in blocks)
    [dip] = strategies.strategies
    assert Rules(**dip.parameters).conditions
    assert [trigger.name for trigger in triggers.triggers] == ["crash", "evening", "wild"]


def test_its_conditions_and_actions_are_read() -> None:
    table = PAGE.split("| you write | it holds |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `([^`]*)` \|", table, re.MULTILINE)
    assert len(rows) >= 6
    for row in rows:
        assert str(parse_condition(row))
    given = re.findall(r'--when "([^"]*)"', PAGE)
    assert given
    for text in given:
        parse_condition(text)
    for text in re.findall(r"--then (\w+)", PAGE):
        parse_action(text)


def test_its_strategies_of_the_command_line_are_accepted() -> None:
    [line] = re.findall(r"^tickdeck strategy last create dip (.*)$", PAGE, re.MULTILINE)
    words = re.findall(r'--param (?:"([^"]*)"|(\S+))', line)
    parameters = dict((quoted or plain).split("=", 1) for quoted, plain in words)

    assert Rules(**parameters).enter == "price < 60000"
