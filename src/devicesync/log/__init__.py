"""The log room: port.py says what a log is; journal, kafka and memory are the adapters.

dead_letters.py says what is kept of a refused record, and dead_letters_sqlite.py and dead_letters_kafka.py keep it. foreign.py
follows a log that another service writes.
"""
