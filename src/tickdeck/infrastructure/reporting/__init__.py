"""The report of a run: trades, PnL and fees from its record, as a page and a picture."""

from tickdeck.infrastructure.reporting.report import INSTALL, Written, missing_extra, run_session, write_report
from tickdeck.infrastructure.reporting.session import Session, collect

__all__ = ["INSTALL", "Session", "Written", "collect", "missing_extra", "run_session", "write_report"]
