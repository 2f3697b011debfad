"""The kernel: one input, its whole cascade, stamped and recorded, and the agenda of what is due.

Only what orders and stamps events belongs here.
"""

from tickdeck.application.kernel.agenda import NEVER, RANK_OBSERVER, RANK_VENUE, Agenda
from tickdeck.application.kernel.kernel import STRATEGY, Kernel, stamp_input

__all__ = [
    "NEVER",
    "RANK_OBSERVER",
    "RANK_VENUE",
    "STRATEGY",
    "Agenda",
    "Kernel",
    "stamp_input",
]
