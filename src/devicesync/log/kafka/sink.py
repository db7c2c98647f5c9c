"""A topic that a backup is restored into."""

from collections.abc import Sequence

from devicesync.clock import SYSTEM
from devicesync.errors import WrongUse
from devicesync.log.full import FullRecord
from devicesync.log.kafka.admin import prepare_for_restore
from devicesync.log.kafka.delivery import Invalid, Outgoing, deliver
from devicesync.log.kafka.producer import Producer
from devicesync.log.kafka.url import KafkaUrl, failures

_HINT = (
    "set the topic's message.timestamp.before.max.ms and message.timestamp.after.max.ms to 9223372036854775807, "
    "and its cleanup.policy to delete; or name a topic that does not exist: it is made so"
)


class KafkaSink:
    """See full.Sink. rekey: partitions by the records' keys, rather than those they had."""

    def __init__(self, url: KafkaUrl, partitions: int, *, rekey: bool) -> None:
        """Makes the topic where it is missing. Raises Unavailable, WrongUse."""
        prepare_for_restore(url, partitions, rekey=rekey)
        self._topic = url.topic
        self._rekey = rekey
        self._producer = Producer(url)

    def put(self, partition: int, records: Sequence[FullRecord]) -> None:
        """See full.Sink. Raises WrongUse for a record that the topic's settings refuse."""
        where = -1 if self._rekey else partition
        outgoing = [Outgoing(value, key, headers, where, stamp_ms or 0) for _, stamp_ms, key, value, headers in records]
        try:
            with failures("append to"):
                deliver(self._producer, self._topic, outgoing)
        except Invalid as invalid:
            stamps_ms = {offset: stamp_ms or 0 for offset, stamp_ms, *_ in records}
            # Kafka refuses a whole batch; the one that it means is, among these, the farthest from now.
            maybe = [offset for offset in stamps_ms if stamps_ms[offset] in invalid.stamps_ms] or [*stamps_ms]
            offset = max(maybe, key=lambda offset: abs(stamps_ms[offset] - SYSTEM.now_ms()))
            raise WrongUse(
                f"{invalid}. The backup has it at offset {offset} of partition {partition}, with the time {stamps_ms[offset]} ms",
                _HINT,
            ) from invalid

    def close(self) -> None:
        """See full.Sink."""
