"""Random cells of another job, at timestamps and with times that the law can't hold. On real servers."""

import random
import uuid
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from devicesync.database.cassandra import CassandraDatabase
from devicesync.jobs.audit.difference import kind_of, look
from devicesync.law.event import Event
from devicesync.law.state import State, state_of
from devicesync.law.version import LATEST_US
from devicesync.stores import Stores
from tests.contract.stores import cassandra_at, cassandra_url, redis_at, redis_url
from tests.law.strategies import values_of

PROGRAMS = 120
V = 1_700_000_000_000_000
AT = [
    *(-(2**62), -1, 0, 1, 999, V - 1, V + 10**12, LATEST_US, LATEST_US + 1, 2**53 - 1, 2**53, 2**53 + 1),
    *(9_999_999_999_999_999, 10**16, 2**54, 2**54 + 1024 * V, 10**17, V * 1000, 2**63 - 2),
]
"""Timestamps."""
TIMES = [-(2**63) + 1, -1, 0, 1, V // 1000 - 5, 2**53 - 1, 2**53, 2**60, 2**63 - 1]
TIME_COLUMNS = ("api_last_updated_on", "first_access", "user_declared_on", "updated_date", "last_access")
MAP_COLUMNS = ("device_spec", "uaspec")
TEXT_COLUMNS = ("city", "country", "user_declared_state", "fcm_token")
DELETIONS = ("DELETE", "= {}", ", {}", "''")  # nobody sees those, nor when they were made


@pytest.fixture
def stores() -> Iterator[Stores]:
    opened = Stores(redis_at(redis_url()), cassandra_at(cassandra_url(), "acsylla"))
    yield opened
    opened.close()


def program(chance: random.Random, device_id: str) -> list[str]:
    return [_statement(chance, f"device_id = '{device_id}'", device_id) for _ in range(chance.choice((1, 1, 2, 3, 5)))]


def _statement(chance: random.Random, where: str, device_id: str) -> str:
    column = chance.choice((*TIME_COLUMNS, *MAP_COLUMNS, *TEXT_COLUMNS))
    at = chance.choice(AT)
    if chance.random() < 0.1:
        return f"UPDATE KEYSPACE.device_erasure USING TIMESTAMP {at} SET version = {chance.choice(AT)} WHERE {where}"
    if chance.random() < 0.15:
        return f"DELETE {column} FROM KEYSPACE.device_profile USING TIMESTAMP {at} WHERE {where}"
    values = TIMES if column in TIME_COLUMNS else ("{}", "{'a': '1'}") if column in MAP_COLUMNS else ("''", "'a'", "'é'")
    value = chance.choice(values)
    if chance.random() < 0.5:
        return f"UPDATE KEYSPACE.device_profile USING TIMESTAMP {at} SET {column} = {value} WHERE {where}"
    return f"INSERT INTO KEYSPACE.device_profile (device_id, {column}) VALUES ('{device_id}', {value}) USING TIMESTAMP {at}"


def go_through(stores: Stores, device_id: str, chance: random.Random) -> None:
    """What updaters and readers do with such a device."""
    change: dict[str, State] = {
        device_id: state_of(Event(device_id, V, values=values_of(city="new", fcm_token="t", user_declared_state="s")))
    }
    first = chance.choice(("read", "refill", "write"))
    if first == "read":
        stores.read(device_id)
    elif first == "refill":
        stores.refill([device_id])
    stores.write(change)
    stores.refill([device_id])
    if chance.random() < 0.3:
        stores.cache.forget([device_id])
        stores.read(device_id)
    stores.write(change)
    stores.refill([device_id])


def test_no_cells_of_another_job_stop_anybody(stores: Stores) -> None:
    """The cache holds each device at the end. Where the stores differ, an audit finds it, and the device was named.

    139 of 841 such programs had stopped an updater for good.
    """
    database = stores.database
    assert isinstance(database, CassandraDatabase)
    of_run = uuid.uuid4().hex[:8]
    for seed in range(PROGRAMS):
        chance = random.Random(seed)
        device_id = f"{of_run}-{seed}"
        statements = program(chance, device_id)
        for statement in statements:
            database._driver.query(statement.replace("KEYSPACE", database._url.keyspace))
        with capture_logs() as lines:
            go_through(stores, device_id, chance)
        assert stores.cache.read([device_id]), (seed, statements)
        sides = look([device_id], stores)[device_id]
        if kind_of(sides) and not any(deletion in statement for statement in statements for deletion in DELETIONS):
            assert [line["device_id"] for line in lines] == [device_id], (seed, statements, sides)
