"""``tickdeck new``."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import json_option
from tickdeck.interfaces.cli.output import print_json

__all__ = ["new"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="NAME")
@json_option("The created files as one JSON object")
def new(folder: Path, as_json: bool) -> int:
    """Create the folder NAME with a strategy to start from: code, settings, and tests that pass.

    \b
    Examples:
      tickdeck new breakout
      cd breakout && tickdeck run --config run.toml --for 20
    """
    from tickdeck.infrastructure.strategies import create_project

    files = create_project(folder)
    if as_json:
        print_json({"out": str(folder), "files": [str(file.relative_to(folder)) for file in files]})
        return DONE
    for file in files:
        click.echo(f"  {file}")
    click.echo(f"next  cd {folder} && tickdeck run --config run.toml --for 20")
    return DONE
