"""The backup and what is done with it. Start with run.py."""
