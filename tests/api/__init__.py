"""Tests of the Device Register API."""
