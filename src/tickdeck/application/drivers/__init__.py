"""What takes the next input and feeds it to the kernel, at the pace that a run asks for.

One file a driver; what happens to an input afterwards belongs to the kernel.
"""

from tickdeck.application.drivers.simulation import Simulation

__all__ = [
    "Simulation",
]
