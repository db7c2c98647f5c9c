"""A topic that a backup is restored into."""

from collections.abc import Sequence

from devicesync.log.full import FullRecord
from devicesync.log.kafka.admin import prepare_for_restore
from devicesync.log.kafka.log import Outgoing, deliver, open_producer
from devicesync.log.kafka.url import KafkaUrl, failures


class KafkaSink:
    """See full.Sink. rekey: partitions by the records' keys, rather than those they had."""

    def __init__(self, url: KafkaUrl, partitions: int, *, rekey: bool) -> None:
        """Makes the topic where it is missing. Raises Unavailable, WrongUse."""
        prepare_for_restore(url, partitions, rekey=rekey)
        self._topic = url.topic
        self._rekey = rekey
        self._producer = open_producer(url)

    def put(self, partition: int, records: Sequence[FullRecord]) -> None:
        """See full.Sink."""
        where = -1 if self._rekey else partition
        outgoing = [Outgoing(value, key, headers, where, stamp_ms or 0) for _, stamp_ms, key, value, headers in records]
        with failures("append to"):
            deliver(self._producer, self._topic, outgoing)

    def close(self) -> None:
        """See full.Sink."""
