"""Empty logs for the contract suites, each of one partition."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from devicesync.jobs.shared.patience import Patience
from devicesync.log.journal import Journal
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from devicesync.log.port import Log
from tests import servers
from tests.simulation.kafka_broker import Broker
from tests.simulation.kafka_client import clients_of

L = TypeVar("L", bound=Log)


@contextmanager
def opened(logs: Mapping[str, Callable[[Path], L]], name: str, directory: Path) -> Iterator[L]:
    """The log of that name, with a broker of its own where it is simulated."""
    with clients_of(Broker("topic", 1, now_ms), now_ms) if name == "simulated-kafka" else nullcontext():
        log = logs[name](directory)
        yield log
        log.close()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def simulated_kafka(directory: Path) -> KafkaLog:
    """A topic in memory, without a server."""
    return KafkaLog(KafkaUrl.parse("kafka://simulated/topic"), group=directory.name)


def journal(directory: Path) -> Journal:
    """A journal of small segments."""
    return Journal(directory / "device-profile.log", segment_bytes=200, retention_seconds=3600)


def kafka(directory: Path) -> KafkaLog:
    """A topic, with a group of its own, named after the test's directory."""
    topic = f"contract-{directory.name}"
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{topic}")
    create_topics(url, partitions=1)
    log = KafkaLog(url, group=topic)
    Patience(threading.Event()).until_it_works(log.check)  # a broker that has just started may take longer than one call waits
    return log
