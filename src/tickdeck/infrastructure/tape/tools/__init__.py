"""Tools for maintaining tapes: back up, check, repair, convert and compact."""

from tickdeck.infrastructure.tape.tools.backing_up import TapeBackup, backup_tape, copy_tape
from tickdeck.infrastructure.tape.tools.checking import Problem, check_tape
from tickdeck.infrastructure.tape.tools.compacting import compact_tape
from tickdeck.infrastructure.tape.tools.converting import convert_tape
from tickdeck.infrastructure.tape.tools.integrity import Integrity, read_integrity
from tickdeck.infrastructure.tape.tools.repairing import repair_tape

__all__ = [
    "Integrity",
    "Problem",
    "TapeBackup",
    "backup_tape",
    "check_tape",
    "compact_tape",
    "convert_tape",
    "copy_tape",
    "read_integrity",
    "repair_tape",
]
