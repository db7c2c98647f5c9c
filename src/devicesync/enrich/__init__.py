"""Telemetry enrichment: events get what the cache knows of their device.

splice.py (bytes into an event) · devicedata.py (what is added) · near_cache.py (what this process remembers) ·
tracking.py (how it hears of changes) · lookup.py (asking Redis) · enricher.py (the class for other people's jobs)
"""
