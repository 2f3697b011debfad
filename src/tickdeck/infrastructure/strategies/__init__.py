"""Strategies on disk: loading them, fingerprinting their source, and a project template."""

from tickdeck.infrastructure.strategies.loader import (
    load_function,
    load_module,
    load_signal_class,
    load_strategy_class,
    strategy_name,
)
from tickdeck.infrastructure.strategies.source import source_digest, source_files
from tickdeck.infrastructure.strategies.template import create_project

__all__ = [
    "create_project",
    "load_function",
    "load_module",
    "load_signal_class",
    "load_strategy_class",
    "source_digest",
    "source_files",
    "strategy_name",
]
