"""Evidence that a run can be trusted: comparing, verifying, tracing and judging its record.

Only code that reads a record or executes it again belongs here.
"""

from tickdeck.application.proof.catching_up import CatchingUpKernel
from tickdeck.application.proof.comparison import Comparison, Difference, compare_decisions
from tickdeck.application.proof.recalling import RecallingKernel
from tickdeck.application.proof.record import Divergence, RecordCheck, RecordDiverged, merge_record
from tickdeck.application.proof.record_quality import BookState, PriceJumps, RecordQuality
from tickdeck.application.proof.tracing import Effect, Trace, trace
from tickdeck.application.proof.verification import ProofKernel, ProvenStretch, Verdict, verify

__all__ = [
    "BookState",
    "CatchingUpKernel",
    "Comparison",
    "Difference",
    "Divergence",
    "Effect",
    "PriceJumps",
    "ProofKernel",
    "ProvenStretch",
    "RecallingKernel",
    "RecordCheck",
    "RecordDiverged",
    "RecordQuality",
    "Trace",
    "Verdict",
    "compare_decisions",
    "merge_record",
    "trace",
    "verify",
]
