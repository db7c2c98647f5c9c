"""The tests.

law: properties; contract: one suite, all adapters; journal, jobs; assembly: commands without their command line; cli: its parts;
integration: real servers; end_to_end: commands.
"""
