"""The journal's own promises."""
