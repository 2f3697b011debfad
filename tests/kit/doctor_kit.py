"""The findings of ``tickdeck doctor`` by check."""

from __future__ import annotations

from typing import Any

Findings = dict[str, dict[str, Any]]


def not_ok(findings: Findings) -> list[str]:
    return [check for check, finding in findings.items() if finding["ok"] is False]
