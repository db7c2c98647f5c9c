"""What `make bench-peers` sets up, without its servers; and that it says what it lacks."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from devstack.connectors import SOURCES, commit_of

from devicesync.law.facets import FIELDS

ROOT = Path(__file__).parent.parent


@pytest.fixture
def connect_sinks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("connect_sinks")


def test_the_sinks_settings(connect_sinks: Any) -> None:
    """Both take the topic, and the Cassandra one names each of our fields."""
    found = connect_sinks.configurations(6379, 9042, "ks", 6)
    assert found.keys() == SOURCES.keys()
    assert {each["topics"] for each in found.values()} == {connect_sinks.TOPIC}
    mapping = found["cassandra"][f"topic.{connect_sinks.TOPIC}.ks.device_profile.mapping"]
    assert {f"{field}=value.{field}" for field in FIELDS} < set(mapping.split(", "))


def test_what_the_law_asks_of_both_stores(connect_sinks: Any) -> None:
    """A late record changes nothing; the least first_access stays."""
    late, early = (
        b'{"device_id":"d","api_last_updated_on":%d,"city":"%s","first_access":%d}' % event
        for event in ((1566383863168, b"Mysuru", 1565328282704), (1566383863167, b"Bengaluru", 1565328282703))
    )
    profile = connect_sinks.by_law([late, early])["d"]
    assert (profile["city"], profile["first_access"]) == ("Mysuru", 1565328282703)


def test_a_sink_is_known_by_its_commit(tmp_path: Path) -> None:
    """So that a clone that moves on is compiled anew; what is no clone is told."""
    with pytest.raises(subprocess.CalledProcessError):
        commit_of(tmp_path)


def test_without_a_sink() -> None:
    """It says what to clone, and measures nothing."""
    command = [sys.executable, str(ROOT / "benchmarks" / "peers.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)}, timeout=60)
    assert done.returncode == 3
    assert all(repository in done.stdout for repository in SOURCES.values())
