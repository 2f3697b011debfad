"""Copy trading within a run: each account that follows a leader has one engine.

Trades of the leader, and the events of the copies' orders, come in; decisions and the trades of copies go out.
"""

from tickdeck.application.engines.copying.engine import CopyEngine
from tickdeck.application.engines.copying.leader import Leader
from tickdeck.application.engines.copying.settings import CopySettings

__all__ = ["CopyEngine", "CopySettings", "Leader"]
