"""The log room: port.py says what a log is; journal, kafka and memory are the adapters.

foreign.py follows a log that another service writes.
"""
