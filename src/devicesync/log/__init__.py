"""The log room: port.py says what a log is, full.py what the backup asks of one; journal, kafka and memory are the adapters.

foreign.py follows a log that another service writes.
"""
