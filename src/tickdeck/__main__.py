"""``python -m tickdeck``: the command line, where the script is not on the path."""

from __future__ import annotations

from tickdeck.interfaces.cli import main

if __name__ == "__main__":
    main(prog_name="tickdeck")
