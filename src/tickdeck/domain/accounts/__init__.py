"""What an account holds and what it may spend."""

from tickdeck.domain.accounts.account import Account

__all__ = [
    "Account",
]
