"""The backup's files."""
