"""Servers that demand TLS and passwords, and grant no more than they are told to."""
