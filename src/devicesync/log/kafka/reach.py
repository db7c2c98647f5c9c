"""Whether anybody listens where Kafka should be: known at once, where Kafka's client tries for its whole time-out."""

import socket

from devicesync.errors import Unavailable
from devicesync.log.kafka.url import HINT, KafkaUrl

_PORT = 9092
_TIMEOUT_SECONDS = 3.0


def reach(url: KafkaUrl) -> None:
    """Raise Unavailable where none of the servers takes a connection."""
    wrong = []
    for server in url.servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]") or port, int(port) if host else _PORT), _TIMEOUT_SECONDS).close()
        except (OSError, ValueError, OverflowError) as error:
            wrong.append(f"{server}: {getattr(error, 'strerror', None) or error}")
        else:
            return
    raise Unavailable(f"can't reach Kafka: {', '.join(wrong)}", HINT)
