"""Exports events to other formats: JSON Lines, CSV and Parquet, one module each."""

from tickdeck.infrastructure.exporting.export import EXPORT_FORMATS, Exported, export_events

__all__ = ["EXPORT_FORMATS", "Exported", "export_events"]
