"""Results as tables and trees for a terminal."""

from tickdeck.interfaces.cli.tables.event_tree import chain, effect_lines
from tickdeck.interfaces.cli.tables.summary import print_summary
from tickdeck.interfaces.cli.tables.whatif import decision_lines, figures_table, settings_lines

__all__ = [
    "chain",
    "decision_lines",
    "effect_lines",
    "figures_table",
    "print_summary",
    "settings_lines",
]
