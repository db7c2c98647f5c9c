"""Fixtures of the end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.command import Devicesync


@pytest.fixture
def devicesync(tmp_path: Path) -> Iterator[Devicesync]:
    commands = Devicesync(tmp_path)
    yield commands
    commands.stop_all()
