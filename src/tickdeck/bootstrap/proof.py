"""The proof of a run."""

from __future__ import annotations

from pathlib import Path

from tickdeck.application.kernel import Agenda, Kernel
from tickdeck.application.proof import RecordCheck, Verdict, verify
from tickdeck.bootstrap.core import Core
from tickdeck.bootstrap.record import market_of
from tickdeck.bootstrap.strategies import strategies_as_recorded
from tickdeck.infrastructure.config import config_from_dict
from tickdeck.infrastructure.runs import (
    read_manifest,
)
from tickdeck.infrastructure.tape.opening import open_reader, tape_path

__all__ = ["verify_run"]


def verify_run(folder: Path) -> tuple[Verdict, list[str]]:
    """Execute the run's core again on its recorded inputs and compare all that it derives.

    Returns the verdict and, in words, what of the code is not as it was when the run was made. Raises ``RunError``
    where an input file is not.
    """
    manifest = read_manifest(folder)
    config = config_from_dict(manifest.config)
    strategies, changes = strategies_as_recorded(config, manifest)
    with open_reader(tape_path(folder)) as tape:
        check = RecordCheck(tape.read())
        timers = Agenda()
        kernel = Kernel(tape=check, agenda=timers, max_cascade=config.max_cascade)
        Core(config, manifest, strategies, kernel)
        verdict = verify(kernel, check, market_of(config, manifest) if manifest.inputs else iter(()), timers)
    return verdict, changes
