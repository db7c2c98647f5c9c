"""The audit: what readers see in the cache, compared with what readers see in the database, and with the log."""
