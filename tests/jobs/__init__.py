"""Jobs over ports."""
