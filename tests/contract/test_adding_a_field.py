"""docs/adding-a-field.md is true: law/facets.py alone is changed, in a copy, and every store keeps the law with what was added."""

import os
import shutil
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from devicesync.database.cassandra import CassandraDatabase, CassandraUrl
from devicesync.database.port import Database
from devicesync.database.sqlite import SqliteDatabase
from devicesync.law import facets
from devicesync.law.event import Event
from devicesync.law.state import state_of
from devicesync.stores import Stores
from tests import servers
from tests.contract.stores import redis_at
from tests.law.strategies import BASE_US, values_of

ROOT = Path(__file__).parents[2]
CORE = "both_stores_equal or forgot_is_filled or tombstone_stays or only_ever_data"
OVER = "sqlite-memory or memory-sqlite or redis-acsylla"

FIELDS = [
    ('        "district_custom",\n', '        "district_custom",\n        "postal_code",\n'),
    ('"user_declared_district"))', '"user_declared_district", "user_declared_block"))'),
]
A_FACET = [
    (
        '    Facet("producer_id", ("producer_id",)),\n',
        '    Facet("producer_id", ("producer_id",)),\n    Facet("app", ("app_name", "app_release")),\n    Facet("sensors", ("sensors",)),\n',
    ),
    ('"device_spec", "uaspec"}', '"device_spec", "uaspec", "sensors"}'),
]


def grown(directory: Path, changes: list[tuple[str, str]]) -> Path:
    """A copy of the package with these changes in law/facets.py, and nowhere else."""
    package = directory / "devicesync"
    shutil.copytree(Path(facets.__file__).parents[1], package, ignore=shutil.ignore_patterns("__pycache__"))
    file = package / "law" / "facets.py"
    text = file.read_text()
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    file.write_text(text)
    return directory


def begin(cache_url: str, database: Database) -> None:
    """A pair of stores as they are today, with one device."""
    with closing(Stores(redis_at(cache_url), database)) as stores:
        database.create()
        stores.cache.forget(["old"])
        stores.write({"old": state_of(Event("old", BASE_US, values=values_of(city="Pune", device_spec='{"os":"9"}')))})


@pytest.mark.parametrize(
    ("changes", "new_fields", "new_facets"),
    [
        (FIELDS, "postal_code user_declared_block", ""),
        (A_FACET, "app_name app_release sensors", "app sensors"),
    ],
    ids=["fields", "facets"],
)
def test_what_is_added_in_facets_alone_reaches_every_store(
    tmp_path: Path, changes: list[tuple[str, str]], new_fields: str, new_facets: str
) -> None:
    """The stores that were there go on, and the contract suite's core holds over new ones."""
    name = uuid.uuid4().hex[:8]
    cassandra = f"cassandra://127.0.0.1:{servers.cassandra().port}"
    redis = f"redis://127.0.0.1:{servers.redis().port}"
    old = {
        "OLD_SQLITE": str(tmp_path / "old.db"),
        "OLD_CASSANDRA": f"{cassandra}/old_{name}",
        "OLD_REDIS_SQLITE": f"{redis}/14",
        "OLD_REDIS_CASSANDRA": f"{redis}/15",
    }
    begin(old["OLD_REDIS_SQLITE"], SqliteDatabase(Path(old["OLD_SQLITE"])))
    begin(old["OLD_REDIS_CASSANDRA"], CassandraDatabase(CassandraUrl.parse(old["OLD_CASSANDRA"])))
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("tests/contract/grown.py", "tests/contract/test_stores.py"),
            *("-k", f"grown or (({CORE}) and ({OVER}))"),
        ],
        cwd=ROOT,
        env=os.environ
        | old
        | {
            "PYTHONPATH": str(grown(tmp_path / "copy", changes)),
            "FIELDS": new_fields,
            "FACETS": new_facets,
            "CONTRACT_EXAMPLES": "15",
            "CONTRACT_CASSANDRA": f"{cassandra}/new_{name}",
            "CONTRACT_REDIS": f"{redis}/13",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert "16 passed" in ran.stdout
