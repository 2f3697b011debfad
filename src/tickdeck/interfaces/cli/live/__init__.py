"""What a terminal shows while a run is going on: progress and the live view."""

from tickdeck.interfaces.cli.live.progress import CLEAR, Progress
from tickdeck.interfaces.cli.live.view import LiveView, can_show

__all__ = [
    "CLEAR",
    "LiveView",
    "Progress",
    "can_show",
]
