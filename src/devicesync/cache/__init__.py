"""The cache room: port.py says what a cache is, the other modules are the adapters."""
