"""The protocols that the exchange speaks, one folder a dialect. Each is pure but for its ``server``."""
