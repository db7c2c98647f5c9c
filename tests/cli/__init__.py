"""Tests of the command line's parts, in this process."""
