"""Drivers take the next input and feed it to the kernel, at the run's pace.

One file per driver. What happens to an input afterwards is the kernel's job.
"""

from tickdeck.application.drivers.driver import Driver, Recalled
from tickdeck.application.drivers.intake import FrameIntake
from tickdeck.application.drivers.live import LiveAgenda, LiveDriver, Past
from tickdeck.application.drivers.simulation import Simulation

__all__ = [
    "Driver",
    "FrameIntake",
    "LiveAgenda",
    "LiveDriver",
    "Past",
    "Recalled",
    "Simulation",
]
