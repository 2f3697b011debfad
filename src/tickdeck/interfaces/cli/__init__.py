"""The command line, ``tickdeck COMMAND``: one file per command, and next to them the code they share."""

from tickdeck.interfaces.cli.group import main

__all__ = ["main"]
