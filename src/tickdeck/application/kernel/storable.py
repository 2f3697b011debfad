"""What the tape stores instead of an event that cannot be encoded."""

from __future__ import annotations

from collections.abc import Sequence

from tickdeck.domain.events import DomainEvent, encode_payload, fault_of
from tickdeck.domain.events import SystemError as SystemErrorEvent

__all__ = ["replace_unstorable"]


def replace_unstorable(cascade: Sequence[DomainEvent]) -> tuple[list[DomainEvent], dict[int, str]]:
    """The cascade with a ``system.error`` in the place of each event that cannot be encoded, and the reasons by
    ``seq``.

    Such an event exists only if code bypassed the checks of its fields. The replacement has the event's id, causes and
    times. It depends only on the event, so a run that is verified or resumed produces the same one.
    """
    kept: list[DomainEvent] = []
    reasons: dict[int, str] = {}
    for event in cascade:
        fault = _fault(event)
        if fault is None:
            kept.append(event)
            continue
        what = f"{event.event_type or type(event).__name__} {event.event_id} cannot be stored"
        reasons[event.seq] = f"{what}: {fault}"
        kept.append(
            SystemErrorEvent(
                component="kernel",
                error="EventValidationError",
                message=f"{what}: {fault.split(' ', 1)[0]} is invalid",  # without the value: its repr may vary
                event_id=event.event_id,
                correlation_id=event.correlation_id,
                causation_id=event.causation_id,
                seq=event.seq,
                ts=event.ts_ingress,
                ts_ingress=event.ts_ingress,
            )
        )
    return kept, reasons


def _fault(event: DomainEvent) -> str | None:
    try:
        encode_payload(event)
        _ = event.stream
    except Exception as error:  # noqa: BLE001 (an invalid value may raise anything)
        try:
            return fault_of(event) or type(error).__name__
        except Exception:  # noqa: BLE001
            return type(error).__name__
    return None
