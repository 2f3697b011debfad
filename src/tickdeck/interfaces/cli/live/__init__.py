"""What a terminal shows during a run: progress and the live view."""

from tickdeck.interfaces.cli.live.progress import CLEAR, Progress
from tickdeck.interfaces.cli.live.view import LiveView, can_show

__all__ = [
    "CLEAR",
    "LiveView",
    "Progress",
    "can_show",
]
