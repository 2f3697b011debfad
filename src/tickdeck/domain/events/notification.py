"""Messages for people."""

from __future__ import annotations

from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent, invalid

__all__ = ["SEVERITIES", "NotificationAlert"]

SEVERITIES = ("info", "warning", "critical")


class NotificationAlert(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A message for a person. Emitted by a strategy's ``notify``, by the risk engine when trading halts, or
    resumes by itself, by the instruments engine when the venue stops or begins again to trade a symbol, and by the
    execution engine about orders in doubt.

    ``severity`` is ``info``, ``warning`` or ``critical``. ``recipients`` are names that an edge can resolve. If there
    are none, the edge decides who receives the message.
    """

    event_type: ClassVar[str] = "notification.alert"
    text: str
    severity: str = "info"
    recipients: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise invalid(self, "severity", " or ".join(map(repr, SEVERITIES)))
