"""A live run as a process of its own: ``live_driver.py DATA MODULE:FUNCTION [WORD ...]``.

It starts the run that ``FUNCTION(*WORDS)`` configures, or resumes the one in the folder DATA. It prints the ``seq`` of
the snapshot from which the run continues, or 0. Once the run has caught up with its record, it prints a line at each
turn of the event loop: how many events it has taken since it began, and how many snapshots it has.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from pathlib import Path

from tickdeck.bootstrap import LiveRun, resume_run, start_live_run


def main(data: Path, configured: str, *words: str) -> None:
    module, _, function = configured.partition(":")
    wanted = getattr(import_module(module), function)(*words)
    folders = sorted(data.iterdir()) if data.exists() else []
    run = resume_run(folders[0]) if folders else start_live_run(wanted, data)
    assert isinstance(run, LiveRun)
    began = run.kernel.seq
    print(run.restored_from or 0, flush=True)

    def tell(_: int) -> None:
        if run.caught_up():
            print(run.kernel.seq - began, len(list(run.folder.glob("states/*.json"))), flush=True)

    asyncio.run(run.drive(None, progress=tell))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
