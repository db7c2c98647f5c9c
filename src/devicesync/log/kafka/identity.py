"""Which topic an offset is of, and which database has what lies before it.

A topic that is deleted and made anew has the same name and another id, and Kafka tells nobody: a consumer goes on at the offset
that it had, and a group takes a commit of that offset. So each commit says in its metadata of which topic it is. The same holds
for a database: a file of SQLite that was deleted and made anew has another identity.
"""

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.log.full import DELETED
from devicesync.log.kafka.url import answer_to, failures

_TIMEOUT_SECONDS = 5.0  # which a stop signal may have to wait for


class Note(msgspec.Struct):
    """What a commit's metadata says.

    topic_id: "" in somebody else's commit. end, none_from, listing: see full.Claim. store: see BoundReader.bind.
    is_kept: whether that store keeps the position, too.
    """

    topic_id: str
    end: int | None = None
    store: str = ""
    none_from: int | None = None
    is_kept: bool = False
    listing: str = ""


_decode = msgspec.json.Decoder(Note).decode


def noted(topic: str, partition: int, offset: int, note: Note) -> TopicPartition:
    """A position to be committed, with its note."""
    return TopicPartition(topic, partition, offset, msgspec.json.encode(note).decode())


def note_of(position: TopicPartition) -> Note:
    """What was noted of a position that was committed."""
    try:
        return _decode(position.metadata or "")
    except msgspec.MsgspecError:
        return Note("")


def is_of(position: TopicPartition, identity: str, store: str = "") -> bool:
    """Whether a position may be of the topic with this id, and of this store; one that says nothing is believed."""
    return note_of(position).topic_id in ("", identity) and not is_of_another(position, store)


def is_of_another(position: TopicPartition, store: str) -> bool:
    """Whether what lies before a position was applied to another store than this one; "" is any store."""
    return bool(store) and note_of(position).store not in ("", store)


def identity_of(admin: AdminClient, topic: str) -> str:
    """The topic's id, DELETED where there is none. Raises Unavailable."""
    described = admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT_SECONDS)[topic]
    with failures("read"):
        try:
            return str(answer_to(described).topic_id)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return DELETED
            raise
        finally:
            del admin  # whoever keeps the error keeps this frame, too
