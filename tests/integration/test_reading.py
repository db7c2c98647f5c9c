"""docs/reading-the-cache.md: its Python snippet, run as it stands, and its table, compared with what is there."""

import re
from pathlib import Path
from typing import Any

import redis

from devicesync.cache.redis_scripts import HASH_NAMES
from devicesync.law.facets import FIELDS
from tests import servers
from tests.end_to_end.command import Devicesync

PAGE = (Path(__file__).parents[2] / "docs" / "reading-the-cache.md").read_text()
DATABASE = 5


def snippet(port: int) -> dict[str, Any]:
    """What the page's Python snippet defines, over a server of ours."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace("6379", str(port)).replace("db=2", f"db={DATABASE}"), names)  # noqa: S102 - our own page
    return names


def test_the_snippet_reads_what_is_there(tmp_path: Path, seed: Path) -> None:
    """A profile, a device that is not held, one that was erased, and a minimal one."""
    server = servers.redis()
    client: Any = redis.Redis(port=server.port, db=DATABASE)
    client.flushdb()
    devicesync = Devicesync(tmp_path)
    cache = ("--cache", f"redis://127.0.0.1:{server.port}/{DATABASE}")
    assert devicesync.json("apply", seed, *cache)["applied"] == 1
    profile = snippet(server.port)["profile"]
    found = profile("232455")
    assert found.pop("version") // 1000 == 1566383863167
    assert found == {
        "city": "Bengaluru",
        "state": "Karnataka",
        "device_spec": {"os": "Android 6.0", "make": "Motorola XT1706"},
        "first_access": 1565328282703,
    }
    assert profile("nobody") is None
    devicesync.json("erase", "232455", *cache)
    assert client.exists("232455")
    assert profile("232455") is None
    devicesync.json("apply", "-", *cache, stdin=b'{"device_id":"bare","version":1600000000000001}')
    bare = {"city": "", "state": "", "device_spec": {}, "first_access": 0, "version": 1600000000000001}
    assert profile("bare") == bare


def test_every_field_of_the_hash_is_in_the_table() -> None:
    """Under its name in the hash."""
    table = PAGE[PAGE.index("| field |") : PAGE.index("Fields that are true")]
    names = {HASH_NAMES.get(field, field) for field in FIELDS} | {"firstaccess", "user_declared_on", "version"}
    assert [name for name in names if f"`{name}`" not in table] == []
