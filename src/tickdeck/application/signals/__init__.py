"""Signals: values computed from market data, once for all strategies.

The base class that users subclass and the built-in signals belong here. Nothing here knows the engines.
"""

from tickdeck.application.signals.built_in import built_in_signal, split_timeframe
from tickdeck.application.signals.signal import PublishAt, Signal

__all__ = ["PublishAt", "Signal", "built_in_signal", "split_timeframe"]
