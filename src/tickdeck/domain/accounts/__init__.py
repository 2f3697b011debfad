"""What an account holds, and what it is worth."""

from tickdeck.domain.accounts.account import Account
from tickdeck.domain.accounts.balance import BalanceAggregate
from tickdeck.domain.accounts.differences import Differences
from tickdeck.domain.accounts.margin import MarginTerms
from tickdeck.domain.accounts.owned import Owned, OwnedPositions
from tickdeck.domain.accounts.rates import MONEY, PriceOf, Rates, reporting_currency
from tickdeck.domain.accounts.valuation import Valuation

__all__ = [
    "MONEY",
    "Account",
    "BalanceAggregate",
    "Differences",
    "MarginTerms",
    "Owned",
    "OwnedPositions",
    "PriceOf",
    "Rates",
    "Valuation",
    "reporting_currency",
]
