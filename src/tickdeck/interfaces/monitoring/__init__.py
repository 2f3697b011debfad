"""What a monitoring system reads from a run over HTTP: metrics, and whether the run is alive and ready to trade."""

from tickdeck.interfaces.monitoring.server import MonitoringServer
from tickdeck.interfaces.monitoring.watch import RunWatch

__all__ = [
    "MonitoringServer",
    "RunWatch",
]
