"""Stores as the operator reads them: open clients, what was read of late, and a circuit breaker for each server."""
