"""Telemetry enrichment."""
