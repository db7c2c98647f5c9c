"""`backup run`, `verify`, `prune` and `redact`, put together."""
