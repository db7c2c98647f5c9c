"""Closes a consumer that nobody uses any more, in a thread of its own: where nobody answers it, that may take a minute.

Until it has left its group, that waits for its answers to rebalances: it is `close` that gives them.
"""

import threading

from confluent_kafka import Consumer


def close_aside(consumer: Consumer) -> None:
    """Return at once. Its callbacks are called in that thread; no end of the process waits for it."""
    threading.Thread(target=consumer.close, name="close a consumer", daemon=True).start()
