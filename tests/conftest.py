"""The event of the seed; and which process runs which test: tests that share servers run in one, so each starts once."""

from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

SCOPES = {
    "stores": (
        "tests/contract/test_adding_a_field.py",
        "tests/contract/test_seen.py",
        "tests/contract/test_stores.py",
        "tests/integration/test_cassandra_tables.py",
        "tests/integration/test_histories.py",
        "tests/integration/test_simulated_world.py",
    ),
    "backup": ("tests/integration/test_backup", "tests/integration/test_rebuild.py"),
    "secured": ("tests/integration/secured/",),
    "servers": ("tests/api/test_kafka_clock.py", "tests/contract/", "tests/integration/"),
}
"""The tests of a scope share servers, and so a process. A test belongs to the first scope that names the beginning of its path.

stores: Redis, a Redis Cluster and two releases of Cassandra. backup, servers: Kafka, Redis and one Cassandra. secured: each with its
users. Most of their time is waiting, so there are more processes than cores.
"""


def scope(test: str) -> str:
    """What a test shares a process with, by its id; a test that needs no server shares with nobody."""
    return next((scope for scope, beginnings in SCOPES.items() if test.startswith(beginnings)), test)


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
    from devicesync.cli.demo import SEED  # noqa: PLC0415 - the tests of the law load nothing else

    file = tmp_path / "seed.jsonl"
    file.write_bytes(SEED + b"\n")
    return file
