"""Recorded events played again in their own time.

The replayer, its clock, and books rebuilt at an instant belong here; files do not.
"""

from tickdeck.application.replay.books import BookAt, rebuild_book
from tickdeck.application.replay.replayer import Replayer

__all__ = [
    "BookAt",
    "Replayer",
    "rebuild_book",
]
