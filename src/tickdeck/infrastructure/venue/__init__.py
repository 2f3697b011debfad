"""An exchange on localhost: one matching engine, spoken to in the protocol of a real venue.

It shares no code with the adapters in ``exchanges``: a mistake in one must not hide the same mistake in the other.
"""

from tickdeck.infrastructure.venue.commands import Account
from tickdeck.infrastructure.venue.exchange import Exchange
from tickdeck.infrastructure.venue.faults import FAULTS, Faults
from tickdeck.infrastructure.venue.running import DEFAULT_ACCOUNT, RunningVenue, running_venue

__all__ = ["DEFAULT_ACCOUNT", "FAULTS", "Account", "Exchange", "Faults", "RunningVenue", "running_venue"]
