"""Checks a machine and a configuration for problems that would disturb a run."""

from tickdeck.infrastructure.doctor.exchange import exchange_findings
from tickdeck.infrastructure.doctor.findings import Finding
from tickdeck.infrastructure.doctor.machine import machine_findings
from tickdeck.infrastructure.doctor.settings import settings_findings

__all__ = ["Finding", "exchange_findings", "machine_findings", "settings_findings"]
