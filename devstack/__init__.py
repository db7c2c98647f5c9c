"""The development stack: real Redis, Kafka and Cassandra, without containers, on free ports, under one directory.

`python -m devstack` starts them for a person; tests and benchmarks start what they need. Jars come from Maven Central once
and are cached; a missing program is named together with the way to get it.
"""
