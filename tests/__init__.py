"""The tests.

law: properties; contract: one suite, all adapters; journal, jobs; integration: real servers; end_to_end: commands.
"""
