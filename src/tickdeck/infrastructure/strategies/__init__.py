"""Strategies on disk: loading them, fingerprinting and keeping their source, and a project template."""

from tickdeck.infrastructure.strategies.kept import CODE, keep_source, kept_spec
from tickdeck.infrastructure.strategies.loader import (
    load_function,
    load_module,
    load_signal_class,
    load_strategy_class,
    new_strategy,
    strategy_name,
)
from tickdeck.infrastructure.strategies.source import source_digest, source_files
from tickdeck.infrastructure.strategies.template import create_project

__all__ = [
    "CODE",
    "create_project",
    "keep_source",
    "kept_spec",
    "load_function",
    "load_module",
    "load_signal_class",
    "load_strategy_class",
    "new_strategy",
    "source_digest",
    "source_files",
    "strategy_name",
]
