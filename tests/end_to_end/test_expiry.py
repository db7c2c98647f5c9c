"""Where profiles expire, people see when."""

from pathlib import Path

from tests import servers
from tests.end_to_end.command import Devicesync, until
from tests.end_to_end.test_readiness import admin_of, lacking

TTL_SECONDS = 7200


def test_get_and_the_page_say_when_an_entry_expires(devicesync: Devicesync, tmp_path: Path) -> None:
    """As time left, and only where it is set."""
    device_id = servers.unused_name("expires")
    cache = f"redis://127.0.0.1:{servers.redis().port}/2"
    line = b'{"device_id":"%b","api_last_updated_on":1566383863167,"city":"Pune"}\n' % device_id.encode()
    devicesync.run("apply", "-", "--cache", cache, stdin=line)
    assert "expires_in_ms" not in devicesync.json("get", device_id, "--cache", cache)
    (tmp_path / "devicesync.toml").write_text(f"profile_ttl_seconds = {TTL_SECONDS}\n")
    devicesync.run("apply", "-", "--cache", cache, stdin=line.replace(b"Pune", b"Agra").replace(b"3167", b"3168"))
    assert 0 < devicesync.json("get", device_id, "--cache", cache)["expires_in_ms"] <= TTL_SECONDS * 1000
    assert b"the cache forgets it in " in devicesync.run("get", device_id, "--cache", cache).stdout
    assert "expires_in_ms" not in devicesync.json("get", device_id, "--cache", cache, "--from", "database")
    with admin_of(devicesync.start("up", "--cache", cache, ready=False)) as admin:
        until(lambda: lacking(admin) == {})
        shown = admin.get("/device", params={"id": device_id}).text
        assert "expires in" in shown
        assert "Cache and database are equal" in shown
