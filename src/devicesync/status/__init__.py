"""What a running process tells of itself: metrics, health, freshness, log lines."""
