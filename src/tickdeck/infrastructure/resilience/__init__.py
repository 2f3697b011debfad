"""Protects calls to a venue: a rate limiter, retries where they are safe, a circuit breaker.

All of them use the clock port, so tests never sleep. You can use them in adapters of your own.
"""

from tickdeck.infrastructure.resilience.circuit_breaker import (
    FAILURES,
    BreakerState,
    BreakerTransition,
    CircuitBreaker,
    circuit_breaker_protected,
)
from tickdeck.infrastructure.resilience.rate_limiter import Limited, RateLimiter, WeightLimit
from tickdeck.infrastructure.resilience.retry import Backoff, retry_with_backoff

__all__ = [
    "FAILURES",
    "Backoff",
    "BreakerState",
    "BreakerTransition",
    "CircuitBreaker",
    "Limited",
    "RateLimiter",
    "WeightLimit",
    "circuit_breaker_protected",
    "retry_with_backoff",
]
