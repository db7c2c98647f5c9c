"""What tests on real servers share."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.command import Devicesync
from tests.integration.real import Real


@pytest.fixture
def real() -> Iterator[Real]:
    """Empty stores and an empty topic."""
    system = Real()
    yield system
    system.close()


@pytest.fixture
def devicesync(tmp_path: Path, real: Real) -> Iterator[Devicesync]:
    """Commands whose settings file names the real servers."""
    values = dict(zip(("log", "database", "cache"), real.flags[1::2], strict=True)) | {"group": real.group}
    (tmp_path / "devicesync.toml").write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
    commands = Devicesync(tmp_path)
    yield commands
    commands.stop_all()
