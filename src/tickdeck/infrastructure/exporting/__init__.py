"""Events to other people's formats: JSON Lines, CSV, Parquet, each written in one module."""

from tickdeck.infrastructure.exporting.export import EXPORT_FORMATS, Exported, export_events

__all__ = ["EXPORT_FORMATS", "Exported", "export_events"]
