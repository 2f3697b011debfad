"""The kernel takes an input and stamps and records its whole cascade. The agenda holds what is due.

Only code that orders and stamps events belongs here.
"""

from tickdeck.application.kernel.agenda import NEVER, RANK_OBSERVER, RANK_VENUE, Agenda
from tickdeck.application.kernel.committing import CommittingKernel
from tickdeck.application.kernel.kernel import STRATEGY, Kernel, stamp_input
from tickdeck.application.kernel.money import MONEY_CONTEXT, money_context, user_context
from tickdeck.application.kernel.outside_inputs import STEPS
from tickdeck.application.kernel.timers import TIMER_SOURCE
from tickdeck.application.kernel.waker import Waker

__all__ = [
    "MONEY_CONTEXT",
    "NEVER",
    "RANK_OBSERVER",
    "RANK_VENUE",
    "STEPS",
    "STRATEGY",
    "TIMER_SOURCE",
    "Agenda",
    "CommittingKernel",
    "Kernel",
    "Waker",
    "money_context",
    "stamp_input",
    "user_context",
]
