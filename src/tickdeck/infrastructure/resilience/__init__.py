"""What keeps calls to a venue within its limits and out of its failures: a rate limiter, retries where they are safe, a
circuit breaker. All on the clock port, so tests never sleep; for adapters of your own, too."""

from tickdeck.infrastructure.resilience.circuit_breaker import (
    BreakerState,
    BreakerTransition,
    CircuitBreaker,
    circuit_breaker_protected,
)
from tickdeck.infrastructure.resilience.rate_limiter import RateLimiter, WeightLimit
from tickdeck.infrastructure.resilience.retry import Backoff, retry_with_backoff

__all__ = [
    "Backoff",
    "BreakerState",
    "BreakerTransition",
    "CircuitBreaker",
    "RateLimiter",
    "WeightLimit",
    "circuit_breaker_protected",
    "retry_with_backoff",
]
