"""Topics: made with sane settings where they are missing, and looked at for `doctor`."""

from collections.abc import Iterable
from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from devicesync.clock import SYSTEM
from devicesync.errors import Unavailable, WrongUse
from devicesync.log.kafka import KafkaUrl
from devicesync.log.kafka.reach import reach
from devicesync.log.kafka.url import TO_DELETE
from devicesync.log.whole_lines import LONGEST_LINE_BYTES

DEAD_LETTER_SUFFIX = ".failed"
_TIMEOUT_SECONDS = 10.0
_NAP_SECONDS = 0.05
_SETTINGS = {"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "1", "max.message.bytes": "1048588"}
_KEEPS_ALL = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
_OWN_TIMES = {"message.timestamp.type": "CreateTime"} | _KEEPS_ALL
_ANY_TIMES = {f"message.timestamp.{which}.max.ms": str((1 << 63) - 1) for which in ("before", "after")}
"""Of a topic that a backup is restored into: it takes records with whatever times they had."""
_UNPACKED = {"compression.type": "uncompressed"}
"""The broker keeps records unpacked, so that their bytes count: else some KB may be gigabytes in every reader."""
_DEAD_LETTER_TIMES = {"message.timestamp.type": "LogAppendTime"}
"""An updater's clock may be ahead. By its times a broker of 4.0 or later would refuse them where that is over an hour."""
DEAD_LETTERS = _UNPACKED | _DEAD_LETTER_TIMES | {"max.message.bytes": str(4 << 20), "cleanup.policy": "delete"}
_HEADERS_BYTES = 4096
"""What a dead letter has beside the refused record's key and value, at most. Of each of these it has 1 MiB at most."""


def create_topics(url: KafkaUrl, partitions: int, dead_letter_seconds: float = 0) -> None:
    """Make the topic and its dead-letter topic where they are missing; existing ones are left as they are.

    dead_letter_seconds: how long a dead letter is kept, 0 for ever. Raises Unavailable.
    """
    reach(url)
    admin = AdminClient(url.client)
    try:
        metadata = admin.list_topics(timeout=_TIMEOUT_SECONDS)
        replicas = min(3, len(metadata.brokers))
        settings = _SETTINGS | _UNPACKED | {"min.insync.replicas": str(max(replicas - 1, 1))}
        wanted = [
            NewTopic(url.topic, partitions, replicas, config=settings),
            NewTopic(
                url.topic + DEAD_LETTER_SUFFIX,
                1,
                replicas,
                config=DEAD_LETTERS | {"retention.ms": _retention_ms(dead_letter_seconds)},
            ),
        ]
        _create(admin, [topic for topic in wanted if topic.topic not in metadata.topics])
        _wait_for(admin, {topic.topic for topic in wanted})
    except KafkaException as error:
        raise Unavailable(
            f"can't make topics in Kafka: {error.args[0].str()}", "check that Kafka runs and that this user may make topics"
        ) from error


def _wait_for(admin: AdminClient, names: set[str]) -> None:
    """Return when the brokers tell of these topics, as they do soon after they said that they made them; or give it up."""
    deadline = SYSTEM.monotonic() + _TIMEOUT_SECONDS
    while not names <= admin.list_topics(timeout=_TIMEOUT_SECONDS).topics.keys() and SYSTEM.monotonic() < deadline:
        SYSTEM.sleep(_NAP_SECONDS)


def _create(admin: AdminClient, topics: list[NewTopic]) -> bool:
    """Make topics. One that is there by now was made beside us, or at a first try whose answer was lost: then False."""
    were_made = True
    for made in (admin.create_topics(topics, request_timeout=_TIMEOUT_SECONDS) if topics else {}).values():
        try:
            made.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            were_made = False
    return were_made


def prepare_for_restore(url: KafkaUrl, partitions: int, *, rekey: bool) -> None:
    """Make the topic so that it keeps the records' own times, and all of them, or check that it does.

    Raises Unavailable; WrongUse for a topic that would give them other times, drops some, or has too few partitions.
    """
    admin = AdminClient(url.client)
    try:
        metadata = admin.list_topics(timeout=_TIMEOUT_SECONDS)
        if url.topic not in metadata.topics:
            if _create_for_restore(admin, url.topic, partitions, min(3, len(metadata.brokers))):
                return
            _wait_for(admin, {url.topic})
            metadata = admin.list_topics(timeout=_TIMEOUT_SECONDS)
        (described,) = _described(admin, [url.topic]).values()
        found = described.result()
    except KafkaException as error:
        raise Unavailable(f"can't reach Kafka: {error.args[0].str()}", "check that Kafka runs, and the topic's URL") from error
    if found["message.timestamp.type"].value != "CreateTime":
        raise WrongUse(
            f"{url.topic} gives records the time at which it gets them, and versions are guarded by the records' own",
            "name a topic that does not exist: it is made as it should be; or set its message.timestamp.type to CreateTime",
        )
    drops = {name: found[name].value for name, keeps in _KEEPS_ALL.items() if found[name].value != keeps}
    if drops:
        raise WrongUse(
            f"{url.topic} drops records by its {', '.join(f'{name}={value}' for name, value in drops.items())}",
            "name a topic that does not exist: it is made as it should be; or set "
            + ", ".join(f"{name}={keeps}" for name, keeps in _KEEPS_ALL.items()),
        )
    there = len(metadata.topics[url.topic].partitions)
    if there < partitions and not rekey:
        raise WrongUse(f"{url.topic} has {there} partitions, and the backup {partitions}", "add --rekey: by key instead")


def _create_for_restore(admin: AdminClient, name: str, partitions: int, replicas: int) -> bool:
    """Whether it was made: somebody else may just have made it, otherwise."""
    for limits in (_ANY_TIMES, {}):  # brokers before 3.6 have no such limits
        try:
            return _create(admin, [NewTopic(name, partitions, replicas, config=_SETTINGS | _OWN_TIMES | limits)])
        except KafkaException as error:
            if limits and error.args[0].code() == KafkaError.INVALID_CONFIG:
                continue
            raise Unavailable(
                f"can't make {name} with {partitions:,} partitions: {error.args[0].str()}",
                f"check that this user may make topics; the backup has files of partition {partitions - 1}: `backup list`",
            ) from error
    return False


def _described(admin: AdminClient, names: Iterable[str]) -> dict[ConfigResource, Future[dict[str, ConfigEntry]]]:
    """Futures of these topics' settings."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    return admin.describe_configs(resources, request_timeout=_TIMEOUT_SECONDS)


def differences(url: KafkaUrl, partitions: int, dead_letter_seconds: float = 0) -> list[str]:
    """What differs from what `create_topics` would have made, in words. Raises Unavailable, also for a missing topic."""
    reach(url)
    admin = AdminClient(url.client)
    names = (url.topic, url.topic + DEAD_LETTER_SUFFIX)
    try:
        topics = admin.list_topics(timeout=_TIMEOUT_SECONDS).topics
        for name in names:
            if name not in topics:
                raise Unavailable(f"there is no topic {name}", "run `devicesync init`")
        described = _described(admin, names)
        of = {resource.name: _values(future.result()) for resource, future in described.items()}
    except KafkaException as error:
        raise Unavailable(f"can't reach Kafka: {error.args[0].str()}", "check that Kafka runs, and the log's URL") from error
    topic, failed = (of[name] for name in names)
    told = []
    if len(topics[url.topic].partitions) < partitions:
        told.append(
            f"{len(topics[url.topic].partitions)} partitions: at most so many updaters share the work; {partitions} are set"
        )
    if topic["message.timestamp.type"] != "LogAppendTime":
        told.append("message.timestamp.type is not LogAppendTime: versions are guarded by the producers' clocks")
    told += [
        f"compression.type of {name} is {of[name]['compression.type']}, not uncompressed: some KB that a producer sends can take "
        "gigabytes of memory in every process that reads them"
        for name in names
        if of[name]["compression.type"] != "uncompressed"
    ]
    if int(failed["max.message.bytes"]) < min(int(topic["max.message.bytes"]), 2 * LONGEST_LINE_BYTES) + _HEADERS_BYTES:
        told.append(
            f"max.message.bytes of {names[1]} is {failed['max.message.bytes']}, too small for the largest records of {names[0]} "
            f"({topic['max.message.bytes']}): of such dead letters only the beginning is kept"
            + (", and where not even that fits, the updater waits" if int(failed["max.message.bytes"]) < _HEADERS_BYTES else "")
        )
    if failed["message.timestamp.type"] != "LogAppendTime":
        told.append(
            f"message.timestamp.type of {names[1]} is not LogAppendTime: an updater whose clock is ahead may get no refused "
            "record into it, and waits"
        )
    if "compact" in failed["cleanup.policy"]:
        told.append(
            f"cleanup.policy of {names[1]} is {failed['cleanup.policy']}, not delete: a refused record without a key stops the "
            f"updaters, and of those with the same key only the newest is kept: {TO_DELETE.format(names[1])}"
        )
    kept_ms, wanted_ms = failed["retention.ms"], _retention_ms(dead_letter_seconds)
    if dead_letter_seconds and not 0 <= int(kept_ms) <= int(wanted_ms):
        told.append(f"retention.ms of {names[1]} is {kept_ms}: refused records are kept longer than is set ({wanted_ms})")
    return told


def check_dead_letters(url: KafkaUrl) -> None:
    """Raise Unavailable where there is no dead-letter topic, or where it is compacted, which a user may not be allowed to see."""
    reach(url)
    admin = AdminClient(url.client)
    name = url.topic + DEAD_LETTER_SUFFIX
    try:
        if name not in admin.list_topics(timeout=_TIMEOUT_SECONDS).topics:
            raise Unavailable(f"there is no topic {name}", "run `devicesync init`")
        (described,) = _described(admin, [name]).values()
        policy = _values(described.result())["cleanup.policy"]
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return
        raise Unavailable(f"can't reach Kafka: {error.args[0].str()}", "check that Kafka runs, and the log's URL") from error
    if "compact" in policy:
        raise Unavailable(f"{name} is compacted, and takes no record without a key", TO_DELETE.format(name))


def _values(config: dict[str, ConfigEntry]) -> dict[str, str]:
    return {name: str(entry.value) for name, entry in config.items()}


def _retention_ms(seconds: float) -> str:
    return str(int(seconds * 1000)) if seconds else "-1"
