"""The backup, and the work on a backup. Start with run.py."""
