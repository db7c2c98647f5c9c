"""Every cache and every database, opened anew for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devicesync.cache.port import Cache
from devicesync.database.port import Database
from tests.contract.stores import CACHES, DATABASES


@pytest.fixture(params=CACHES)
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cache]:
    opened = CACHES[request.param](tmp_path)
    yield opened
    opened.close()


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = DATABASES[request.param](tmp_path)
    yield opened
    opened.close()
