"""The event of the seed; and which process runs which test: tests that share servers run in one, so each starts once."""

import gc
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # an example may take as long as a busy machine makes it take

SCOPES = {
    "stores": (
        "tests/contract/test_adding_a_field.py",
        "tests/contract/test_foreign_timestamps.py",
        "tests/contract/test_seen.py",
        "tests/contract/test_stores.py",
        "tests/integration/test_cassandra_tables.py",
        "tests/integration/test_simulated_world.py",
    ),
    "logs": ("tests/contract/",),
    "secured": ("tests/integration/secured/",),
    "kafka away": ("tests/integration/test_kafka_away.py", "tests/integration/test_readiness.py"),
    "leaderless": ("tests/api/test_without_leader.py", "tests/integration/test_without_leader.py"),
    "cassandra away": ("tests/integration/test_faults_of_cassandra.py",),
    "histories": ("tests/integration/test_histories.py",),
    "enricher": ("tests/integration/test_enrich",),
    "browser": ("tests/browser/",),
}
"""The tests of a scope share what only one process has. A test belongs to the first scope that names the beginning of its path.

stores: a Redis Cluster, an older Cassandra, a keyspace. logs: topics of their names. secured: servers with users. away: a server that is
stopped. leaderless: two brokers, one of which is stopped. histories, enricher, browser: what their modules share. Any other test is a scope of its own: Kafka and Cassandra are shared by all
processes (tests/servers.py), and each has its own Redis. Most of their time is waiting, so there are more processes than cores.
"""
FIRST = (
    "tests/end_to_end/test_backup.py::test_fifty_kills",
    "tests/end_to_end/test_faults.py",
    "tests/end_to_end/test_stopping.py",
    "tests/integration/test_backup.py",
    "tests/integration/test_faults.py",
    "tests/integration/",
    "tests/simulation/",
    "tests/law/",
    "tests/end_to_end/test_api.py",
    "tests/strangers/",
)
"""What takes longest begins first, and what is short fills the gaps at the end."""


def scope(test: str) -> str:
    """What a test shares a process with, by its id; most share with nobody."""
    return next((scope for scope, beginnings in SCOPES.items() if test.startswith(beginnings)), test)


def turn(test: str) -> int:
    """When a test begins: the place in FIRST, or after all these."""
    return next((number for number, beginning in enumerate(FIRST) if test.startswith(beginning)), len(FIRST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: turn(item.nodeid))


def pytest_configure(config: pytest.Config) -> None:
    """Servers start while the tests are collected; without Java's second compiler, which pays only for those that live for long.

    A shell's background job ignores Ctrl-C, and so would all that the tests start.
    """
    os.environ["JDK_JAVA_OPTIONS"] = "-XX:TieredStopAtLevel=1"
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("numprocesses", None) and not config.getoption(
        "collectonly"
    ):  # here, not in the processes that run tests
        from tests import servers  # noqa: PLC0415 - a process that runs the tests of the law needs none

        servers.start_shared()


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the garbage collector need not look at it again and again."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what the servers said that it may hurt."""
    report = yield
    if report.failed and "tests.servers" in sys.modules:
        report.sections.append(("the servers of this process", sys.modules["tests.servers"].own_told()))
    return report


@pytest.hookimpl(trylast=True)  # when its fixtures have let go of them
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """A scope's servers end with its last test."""
    if "PYTEST_XDIST_WORKER" in os.environ and (nextitem is None or scope(nextitem.nodeid) != scope(item.nodeid)):
        from tests import servers  # noqa: PLC0415 - a process that runs the tests of the law needs none

        servers.end_own()


class _ByServers(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """pytest-xdist asks for its scheduler; its own groups (xdist_group) do nothing under pytest 9.2."""
    return _ByServers(config, log)


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    """The seed's event in a file."""
    from devicesync.simulation import SEED  # noqa: PLC0415 - the tests of the law load nothing else

    file = tmp_path / "seed.jsonl"
    file.write_bytes(SEED + b"\n")
    return file
