"""Topics: made with sane settings where they are missing, and looked at for `doctor`."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from devicesync.errors import Unavailable, WrongUse
from devicesync.log.kafka import KafkaUrl
from devicesync.log.kafka.reach import reach

DEAD_LETTER_SUFFIX = ".failed"
_TIMEOUT_SECONDS = 10.0
_SETTINGS = {"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "1", "max.message.bytes": "1048588"}
_KEPT_FOR_EVER = {"retention.ms": "-1", "max.message.bytes": "104857600"}


def create_topics(url: KafkaUrl, partitions: int) -> None:
    """Make the topic and its dead-letter topic where they are missing; existing ones are left as they are.

    Raises Unavailable.
    """
    reach(url)
    admin = AdminClient(url.client)
    try:
        metadata = admin.list_topics(timeout=_TIMEOUT_SECONDS)
        replicas = min(3, len(metadata.brokers))
        wanted = [
            NewTopic(url.topic, partitions, replicas, config=_SETTINGS | {"min.insync.replicas": str(max(replicas - 1, 1))}),
            NewTopic(url.topic + DEAD_LETTER_SUFFIX, 1, replicas, config=_KEPT_FOR_EVER),
        ]
        missing = [topic for topic in wanted if topic.topic not in metadata.topics]
        for made in (admin.create_topics(missing) if missing else {}).values():
            made.result(_TIMEOUT_SECONDS)
    except KafkaException as error:
        raise Unavailable(
            f"can't make topics in Kafka: {error.args[0].str()}", "check that Kafka runs and that this user may make topics"
        ) from error


def prepare_for_restore(url: KafkaUrl, partitions: int, *, rekey: bool) -> None:
    """Make the topic so that it keeps the records' own times, and all of them, or check that it does.

    Raises Unavailable; WrongUse for a topic that would give them other times, or has too few partitions.
    """
    admin = AdminClient(url.client)
    try:
        metadata = admin.list_topics(timeout=_TIMEOUT_SECONDS)
        if url.topic not in metadata.topics:
            replicas = min(3, len(metadata.brokers))
            settings = _SETTINGS | {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
            admin.create_topics([NewTopic(url.topic, partitions, replicas, config=settings)])[url.topic].result(_TIMEOUT_SECONDS)
            return
        (described,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, url.topic)]).values()
        found = described.result(_TIMEOUT_SECONDS)
    except KafkaException as error:
        raise Unavailable(f"can't reach Kafka: {error.args[0].str()}", "check that Kafka runs, and the topic's URL") from error
    if found["message.timestamp.type"].value != "CreateTime":
        raise WrongUse(
            f"{url.topic} gives records the time at which it gets them, and versions are guarded by the records' own",
            "name a topic that does not exist: it is made as it should be; or set its message.timestamp.type to CreateTime",
        )
    there = len(metadata.topics[url.topic].partitions)
    if there < partitions and not rekey:
        raise WrongUse(f"{url.topic} has {there} partitions, and the backup {partitions}", "add --rekey: by key instead")


def differences(url: KafkaUrl, partitions: int) -> list[str]:
    """What differs from what `create_topics` would have made, in words. Raises Unavailable, also for a missing topic."""
    reach(url)
    admin = AdminClient(url.client)
    try:
        topics = admin.list_topics(timeout=_TIMEOUT_SECONDS).topics
        for name in (url.topic, url.topic + DEAD_LETTER_SUFFIX):
            if name not in topics:
                raise Unavailable(f"there is no topic {name}", "run `devicesync init`")
        resource = ConfigResource(ResourceType.TOPIC, url.topic)
        (config,) = admin.describe_configs([resource]).values()
        found = config.result(_TIMEOUT_SECONDS)
    except KafkaException as error:
        raise Unavailable(f"can't reach Kafka: {error.args[0].str()}", "check that Kafka runs, and the log's URL") from error
    told = []
    if len(topics[url.topic].partitions) < partitions:
        told.append(
            f"{len(topics[url.topic].partitions)} partitions: at most so many updaters share the work; {partitions} are set"
        )
    if found["message.timestamp.type"].value != "LogAppendTime":
        told.append("message.timestamp.type is not LogAppendTime: versions are guarded by the producers' clocks")
    return told
