"""Random histories of the two stores: jobs whose store calls are interleaved one by one, with faults between any two.

`python -m tests.histories --steps 100000` runs them on real servers. world.py interleaves, history.py draws a history and runs it,
shown.py says what readers see, shrink.py makes a failure short.
"""
