"""The command line, ``tickdeck COMMAND``: a file a command, and beside them what they share."""

from tickdeck.interfaces.cli.group import main

__all__ = ["main"]
