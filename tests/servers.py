"""Real servers for tests: started when a test first needs one, shared by all tests of a process, stopped at its end.

A missing program skips the test and says how to get it; with CI=true it fails.
"""

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from devstack.server import Missing
from devstack.servers import Cassandra, Kafka, Redis, RedisCluster


class _Startable(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


S = TypeVar("S", bound=_Startable)

os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
"""Servers of tests live for minutes: Java's second compiler costs them more than it saves (a start takes half the processor time)."""


def started(make: Callable[[Path], S]) -> S:
    directory = Path(tempfile.mkdtemp(prefix="devicesync-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    try:
        server = make(directory)
    except Missing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    server.start()
    atexit.register(server.stop)
    return server


@functools.cache
def redis() -> Redis:
    """A Redis server."""
    return started(Redis)


@functools.cache
def redis_cluster() -> RedisCluster:
    """A Redis Cluster of three."""
    return started(RedisCluster)


@functools.cache
def kafka() -> Kafka:
    """A Kafka broker."""
    return started(Kafka)


CASSANDRA = os.environ.get("CASSANDRA", "5.0")
"""The release that the tests run on: `make test CASSANDRA=4.1` runs them all on the older one."""


@functools.cache
def cassandra(release: str = CASSANDRA) -> Cassandra:
    """A Cassandra node."""
    return started(lambda directory: Cassandra(directory, release=release))
