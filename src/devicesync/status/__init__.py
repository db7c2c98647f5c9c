"""What a running system tells of itself: freshness, and the checkup behind `doctor`."""
