"""Up to where a consumer group has applied a topic to a store: its commits say so, and a file of SQLite says so itself."""

from collections.abc import Iterable, Mapping

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.log.full import Store
from devicesync.log.kafka.identity import Note, identity_of, is_of, is_of_another, note_of
from devicesync.log.kafka.onlooker import committed_of, onlooker
from devicesync.log.kafka.reach import reach
from devicesync.log.kafka.url import KafkaUrl

LACKS_HINT = "what the topic has no more, a backup has: `devicesync restore --to-stores`"
_ANOTHER = "the database is another than the one that the topic was applied to: the topic is applied again"
_LESS = "the database has less of the topic than was applied: an older copy, or its -wal was removed. The rest is applied again"


class Applied:
    """What the store has of each partition. Of what the group has committed and what the store keeps the lesser counts."""

    def __init__(self, store: Store | None = None) -> None:
        """Raises Unavailable."""
        self._store = store
        self._keeps = self._has_kept()

    @property
    def identity(self) -> str:
        """What names the store; "" where it is not known."""
        return self._store.identity if self._store else ""

    @property
    def begins_to_keep(self) -> bool:
        """Whether the store is a file that an older release made: it has an identity, which changes, and keeps nothing yet."""
        return bool(self.identity) and not self._keeps

    def keep(self, offsets: Mapping[int, int], topic_ids: Mapping[int, str]) -> None:
        """Tell the store that it has what lies before these offsets. Both by partition. Raises Unavailable."""
        if self._store and offsets:
            self._store.keep_applied({_of(topic_ids[partition], partition): offset for partition, offset in offsets.items()})
            self._keeps = self._keeps or self._has_kept()

    def note(self, topic_id: str) -> Note:
        """What the next commit has to say of the store."""
        return Note(topic_id, store=self.identity, is_kept=self._keeps)

    def begin(self, committed: TopicPartition, topic_id: str) -> int | None:
        """The offset from which a partition is to be read; None where the commit says nothing of it. Raises Unavailable."""
        if committed.offset < 0 or not is_of(committed, topic_id, self.identity):
            return None
        if not self._store or not note_of(committed).is_kept:
            return committed.offset
        return min(self._store.applied(_of(topic_id, committed.partition)) or 0, committed.offset)

    def lacking(self, committed: Iterable[TopicPartition], topic_id: str) -> dict[str, set[int]]:
        """The partitions of this topic of which the store lacks something that was committed, by the reason.

        Raises Unavailable.
        """
        found: dict[str, set[int]] = {}
        for each in committed:
            begin = self.begin(each, topic_id)
            if is_of_another(each, self.identity):
                found.setdefault(_ANOTHER, set()).add(each.partition)
            elif begin is not None and begin < each.offset:
                found.setdefault(_LESS, set()).add(each.partition)
        return found

    def _has_kept(self) -> bool:
        return self._store is not None and self._store.applied("") is not None


def lacks(url: KafkaUrl, group: str, store: Store) -> list[str]:
    """In words, what the store lacks of what the group has committed. Raises Unavailable."""
    reach(url)
    topic_id = identity_of(AdminClient(url.client), url.topic)
    with onlooker(url, group) as consumer:
        return [*Applied(store).lacking((committed for committed, _ in committed_of(consumer, url)), topic_id)]


def _of(topic_id: str, partition: int) -> str:
    """The name that a partition has in a store: each is a log of its own."""
    return f"{topic_id}/{partition}"
