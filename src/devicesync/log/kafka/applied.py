"""Up to where a consumer group has applied a topic to a store: its commits say so, and a file of SQLite says so itself."""

from collections.abc import Mapping
from typing import Any

import structlog
from confluent_kafka import TopicPartition

from devicesync.log.full import Store
from devicesync.log.kafka.identity import Note, is_of, is_of_another, note_of
from devicesync.log.kafka.onlooker import committed_of, onlooker
from devicesync.log.kafka.reach import reach
from devicesync.log.kafka.url import KafkaUrl

_ANOTHER = "the database is another than the one that the topic was applied to: the topic is applied again"
_LESS = "the database has less of the topic than was applied: an older copy, or its -wal was removed. The rest is applied again"
_log: Any = structlog.get_logger("devicesync")


class Applied:
    """What the store has of each partition. Of what the group has committed and what the store keeps the lesser counts."""

    def __init__(self, store: Store | None = None) -> None:
        """Raises Unavailable."""
        self._store = store
        self._keeps = store is not None and store.applied("") is not None

    @property
    def identity(self) -> str:
        """What names the store; "" where it is not known."""
        return self._store.identity if self._store else ""

    def keep(self, offsets: Mapping[int, int], topic_ids: Mapping[int, str]) -> None:
        """Tell the store that it has what lies before these offsets. Both by partition. Raises Unavailable."""
        if self._store and self._keeps and offsets:
            self._store.keep_applied({_of(topic_ids[partition], partition): offset for partition, offset in offsets.items()})

    def note(self, topic_id: str) -> Note:
        """What the next commit has to say of the store."""
        return Note(topic_id, store=self.identity, is_kept=self._keeps)

    def begin(self, committed: TopicPartition, topic_id: str) -> int:
        """The offset from which a partition is to be read, 0 where the commit says nothing of it. Raises Unavailable."""
        if not is_of(committed, topic_id, self.identity):
            return 0
        if not self._store or not note_of(committed).is_kept:
            return committed.offset
        return min(self._store.applied(_of(topic_id, committed.partition)) or 0, committed.offset)

    def lacking(self, committed: list[TopicPartition], begins: list[int], topic_id: str) -> set[int]:
        """The partitions of this topic of which the store lacks something that was committed. Log a warning of them."""
        another = {each.partition for each in committed if is_of_another(each, self.identity)}
        both = zip(committed, begins, strict=True)
        less = {each.partition for each, begin in both if is_of(each, topic_id, self.identity) and begin < each.offset}
        for why, partitions in ((_ANOTHER, another), (_LESS, less)):
            if partitions:
                hint = "what the topic has no more, a backup has: `devicesync restore --to-stores`"
                _log.warning(why, partitions=sorted(partitions), hint=hint)
        return another | less


def is_applied_to_another(url: KafkaUrl, group: str, store: str) -> bool:
    """Whether some commit of the group names another store than the one with this identity. Raises Unavailable."""
    reach(url)
    with onlooker(url, group) as consumer:
        return any(is_of_another(committed, store) for committed, _ in committed_of(consumer, url))


def _of(topic_id: str, partition: int) -> str:
    """The name that a partition has in a store: each is a log of its own."""
    return f"{topic_id}/{partition}"
