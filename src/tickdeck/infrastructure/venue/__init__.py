"""An exchange on localhost: one matching engine, spoken to in the protocol of a real venue.

It shares no code with the adapters in ``exchanges``: a mistake in one must not hide the same mistake in the other.
"""
