"""Commands' work without their command line."""
