"""Which process runs which test: tests that share servers run in one, so that each server is started once."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

STORES = (
    "tests/contract/test_adding_a_field.py",
    "tests/contract/test_stores.py",
    "tests/integration/test_cassandra_tables.py",
    "tests/integration/test_histories.py",
)
"""They need stores alone: Redis, a Redis Cluster and two releases of Cassandra."""
SERVERS = ("tests/api/test_kafka_clock.py", "tests/contract/", "tests/integration/")
"""The others that need servers: Kafka, Redis and one Cassandra."""


def scope(test: str) -> str:
    """What a test shares a process with, by its id; a test that needs no server shares with nobody."""
    if test.startswith(STORES):
        return "stores"
    return "servers" if test.startswith(SERVERS) else test


class _ByServers(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """pytest-xdist asks for its scheduler; its own groups (xdist_group) do nothing under pytest 9.2."""
    return _ByServers(config, log)
