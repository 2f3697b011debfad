"""The time that the command line needs for its help."""

from __future__ import annotations

import subprocess
import sys

from tickdeck.interfaces.bench.session import Figures, Session, timed

__all__ = ["help_text"]

_HELP = "import sys; sys.argv = ['tickdeck', '--help']; from tickdeck.interfaces.cli import main; main()"


def help_text() -> Session:
    """Seconds for ``tickdeck --help``, run like its console script. The ceiling is an interpreter that does nothing."""

    def seconds(code: str) -> float:
        with timed() as taken:
            subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 our own
        return taken()

    def session() -> Figures:
        return {"value": seconds(_HELP), "ceiling": seconds("pass")}

    return session
