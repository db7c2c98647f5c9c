"""The log room: port.py says what a log is, the other modules are the adapters."""
