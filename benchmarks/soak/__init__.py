"""`make soak`: the whole system on real servers, loaded and hurt for many minutes, then compared with the law.

__main__.py (the order of things) · system.py (servers and processes) · load.py · faults.py · vitals.py (memory, descriptors,
threads, connections) · verdict.py (the comparison).
"""
