"""Real servers for tests: started when a test first needs one, shared by all tests of a process, stopped at its end.

Kafka and Cassandra are shared by all processes of a run: they cost seconds to start, so the process that hands out the tests starts
them at once. No test may hurt those; one that does takes own_kafka() or own_cassandra(), which its process alone has.

A missing program skips the test and says how to get it; with CI=true it fails.
"""

import atexit
import functools
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

import pytest
from devstack.server import Missing
from devstack.servers import Cassandra, Kafka, KafkaPair, Redis, RedisCluster

from tests.loaded import Loader


class _Startable(Protocol):
    def start(self) -> None: ...

    def stop(self, how: signal.Signals) -> None: ...


class _Telling(_Startable, Protocol):
    def told(self) -> str: ...


S = TypeVar("S", bound=_Startable)
T = TypeVar("T", bound=_Telling)

os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
"""Servers of tests live for minutes: Java's second compiler costs them more than it saves (a start takes half the processor time)."""


CASSANDRA = os.environ.get("CASSANDRA", "5.0")
"""The release that the tests run on: `make test CASSANDRA=4.1` runs them all on the older one."""
_DIRECTORY = "TESTS_DIRECTORY_OF_"
"""Environment variables that begin so tell the processes of a run where the shared servers keep their data."""


def started(make: Callable[[Path], S]) -> S:
    """A server of this process."""
    try:
        server = make(_directory())
    except Missing as missing:
        lack(str(missing))
    atexit.register(server.stop, signal.SIGKILL)  # its data goes too
    server.start()
    return server


def lack(what: str) -> NoReturn:
    """Skip the test; with CI=true fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def start_shared() -> None:
    """Start what all processes share, and wait for none of it. What is missing, each process misses by itself."""
    loader = Loader(_directory())
    loader.start(wait=False)
    atexit.register(loader.stop, signal.SIGKILL)
    with suppress(Missing):
        for make in (_shared_cassandra, Kafka):
            server = make(_directory())
            server.start(wait=False)
            atexit.register(server.stop, signal.SIGKILL)
            os.environ[f"{_DIRECTORY}{server.name}"] = str(server.directory)


def _directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="devicesync-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def _shared_cassandra(directory: Path, *, runs: bool = False) -> Cassandra:
    return Cassandra(directory, release=CASSANDRA, lasting=False, runs=runs)


@functools.cache
def redis() -> Redis:
    """A Redis server, of this process alone."""
    return started(Redis)


@functools.cache
def redis_cluster() -> RedisCluster:
    """A Redis Cluster of three, of this process alone."""
    return started(RedisCluster)


@functools.cache
def kafka() -> Kafka:
    """A Kafka broker, shared."""
    directory = os.environ.get(f"{_DIRECTORY}Kafka")
    if directory is None:
        return own_kafka()
    server = Kafka(Path(directory), runs=True)
    server.wait_ready()
    return server


@functools.cache
def own_kafka() -> Kafka:
    """A Kafka broker to stop, of this process alone."""
    return _own(Kafka)


@functools.cache
def kafka_pair() -> KafkaPair:
    """Two brokers, one of which is to be stopped, of this process alone."""
    return _own(KafkaPair)


@functools.cache
def cassandra(release: str = CASSANDRA) -> Cassandra:
    """A Cassandra node; that of the release that the tests run on is shared."""
    directory = os.environ.get(f"{_DIRECTORY}Cassandra")
    if directory is None or release != CASSANDRA:
        return started(lambda directory: Cassandra(directory, release=release, lasting=False))
    server = _shared_cassandra(Path(directory), runs=True)
    server.wait_ready()
    return server


@functools.cache
def own_cassandra() -> Cassandra:
    """A Cassandra node to stop, of this process alone."""
    return _own(lambda directory: Cassandra(directory, release=CASSANDRA))


_owned: list[_Telling] = []


def _own(make: Callable[[Path], T]) -> T:
    server = started(make)
    _owned.append(server)
    return server


def end_own() -> None:
    """End the servers of this process alone that nobody needs any more: one that does nothing takes 3 % of a core."""
    if os.environ.get(f"{_DIRECTORY}Kafka"):  # else they are all that there are, and the next test's too
        while _owned:
            _owned.pop().stop(signal.SIGKILL)
        own_kafka.cache_clear()
        kafka_pair.cache_clear()
        own_cassandra.cache_clear()


def own_told() -> str:
    """What the servers of this process alone have said last, to be shown where a test fails that hurts them."""
    return "\n".join(f"{type(server).__name__}:\n{server.told()}" for server in _owned)


_numbers = itertools.count()


def unused_name(beginning: str) -> str:
    """A name for a topic, a group or a keyspace that no other test of the run takes: letters and digits."""
    return f"{beginning}{os.environ.get('PYTEST_XDIST_WORKER', '')}n{next(_numbers)}"
