"""The database room: port.py says what a database is, the other modules are the adapters."""
