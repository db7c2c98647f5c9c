"""What tests/contract/test_adding_a_field.py runs in a process whose devicesync has more fields than the one beside it.

Not collected by itself: OLD_SQLITE, OLD_REDIS and OLD_CASSANDRA name stores that the devicesync without them has made, with the
device `old` in each; FACETS names the facets that are new, FIELDS the fields.
"""

import os
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

import devicesync
from devicesync.api.documents import asyncapi, openapi
from devicesync.cache.redis_scripts import HASH_NAMES
from devicesync.database.cassandra import CassandraDatabase, CassandraUrl
from devicesync.database.cassandra.schema import COLUMNS
from devicesync.database.port import Database
from devicesync.database.sqlite import SqliteDatabase
from devicesync.database.sqlite_table import COLUMNS as SQLITE_COLUMNS
from devicesync.law.event import Event, decode
from devicesync.law.facets import FACETS, FIELDS, MAP_FIELDS
from devicesync.law.profile import profile_of
from devicesync.law.state import join, state_of
from devicesync.stores import Stores
from tests.contract.stores import redis_at
from tests.law.strategies import BASE_US, values_of

NEW_FIELDS, NEW_FACETS = os.environ["FIELDS"].split(), os.environ["FACETS"].split()
OLD = state_of(Event("old", BASE_US, values=values_of(city="Pune", device_spec='{"os":"9"}')))
NEW = Event("old", BASE_US + 1, values=values_of("new", **dict.fromkeys(MAP_FIELDS, '{"a":"b"}')))


def test_it_is_the_copy() -> None:
    """Else nothing here proves anything."""
    assert Path(devicesync.__file__).is_relative_to(os.environ["PYTHONPATH"].split(os.pathsep)[0])
    assert {*NEW_FIELDS} <= {*FIELDS}
    assert {*NEW_FACETS} <= {facet.name for facet in FACETS}


def older(kind: str) -> tuple[Database, list[str]]:
    """A database as the devicesync beside made it, opened by this one, and the columns that it gets."""
    if kind == "sqlite":
        database: Database = SqliteDatabase(Path(os.environ["OLD_SQLITE"]))
        columns = {*NEW_FIELDS, *(f"{name}_version" for name in NEW_FACETS)}
        return database, [f"device_profile.{column}" for column in SQLITE_COLUMNS if column in columns]
    emptied = [each.name for each in FACETS if each.name in NEW_FACETS and (len(each.fields) > 1 or each.fields[0] in MAP_FIELDS)]
    return CassandraDatabase(CassandraUrl.parse(os.environ["OLD_CASSANDRA"])), [
        *(f"device_profile.{field}" for field in COLUMNS["device_profile"] if field in NEW_FIELDS),
        *(f"device_erasure.{name}" for name in emptied),
        *(f"device_erasure.long_{each.name}" for each in FACETS if each.name in NEW_FACETS and each.fields[0] in MAP_FIELDS),
    ]


@pytest.mark.parametrize("kind", ["sqlite", "cassandra"])
def test_an_older_database_and_cache_go_on(kind: str) -> None:
    """The tables get their columns, the devices are as they were, and take the new fields."""
    database, expected = older(kind)
    with closing(Stores(redis_at(os.environ[f"OLD_REDIS_{kind.upper()}"]), database)) as stores:
        assert database.create() == expected
        database.check()
        assert database.read(["old"]) == {"old": OLD}
        assert stores.cache.look(["old"]).held.keys() == (set() if NEW_FACETS else {"old"})
        assert stores.read("old") == OLD
        stores.write({"old": state_of(NEW)})
        assert stores.read("old") == join(OLD, state_of(NEW))
        assert database.read(["old"]) == {"old": join(OLD, state_of(NEW))}


def test_the_wire_the_profile_and_the_documents_know_the_fields() -> None:
    """An event brings them, `get` shows them, OpenAPI and AsyncAPI tell of them; a hash has them under their own names."""
    texts = {field: {"k": "v"} if field in MAP_FIELDS else "text" for field in NEW_FIELDS}
    event = decode(msgspec.json.encode({"device_id": "d", "version": BASE_US} | texts), taken_ms=BASE_US // 1000)
    profile = profile_of(state_of(event)) or {}
    assert {field: profile[field] for field in NEW_FIELDS} == texts
    assert {*NEW_FIELDS} <= asyncapi()["channels"]["deviceprofile"]["messages"]["event"]["payload"]["properties"].keys()
    assert {*NEW_FIELDS} <= openapi()["components"]["schemas"]["Profile"]["properties"].keys()
    assert not {*NEW_FIELDS} & {*HASH_NAMES}
