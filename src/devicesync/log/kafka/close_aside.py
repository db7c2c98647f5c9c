"""Closes a consumer that nobody polls any more, in a thread of its own. Where Kafka does not answer it, closing takes minutes.

While the consumer is in its group, each rebalance of the group waits for its answer. `close` gives that answer, and then leaves.
"""

import threading

from confluent_kafka import Consumer


def close_aside(consumer: Consumer) -> None:
    """Return at once. The thread calls the consumer's callbacks. A process that ends does not wait for the thread."""
    threading.Thread(target=consumer.close, name="close a consumer", daemon=True).start()
