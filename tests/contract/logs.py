"""Empty logs for the contract suites, each of one partition."""

import threading
from pathlib import Path

from devicesync.jobs.shared.patience import Patience
from devicesync.log.journal import Journal
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from tests import servers


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
