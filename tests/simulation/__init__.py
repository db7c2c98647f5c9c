"""The real code in a simulated world: one thread, one seed, one clock for all that happens. docs/testing.md tells how to use it.

scheduler.py switches between processes at each call of a server's client. redis_*.py are Redis under RedisCache's client, cells.py,
cql.py and cassandra.py are Cassandra under its driver. history.py is what a seed draws, world.py runs it, invariants.py judges it at
every step, shrink.py makes a failure short.
"""
