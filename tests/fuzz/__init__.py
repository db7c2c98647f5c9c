"""Readers of bytes from outside, given bytes that nobody wrote: bounded in `make test`, long by `make fuzz`."""
