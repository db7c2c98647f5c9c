"""The page over Redis: what somebody broke in a hash by hand is to be seen there."""

from pathlib import Path

from redis import Redis

from tests import servers
from tests.end_to_end.command import Devicesync, until
from tests.end_to_end.test_readiness import admin_of

EVENT = b'{"device_id":"broken-by-hand","api_last_updated_on":1566383863167,"city":"Bengaluru","state":"Karnataka"}'


def test_a_hash_that_was_broken_by_hand(tmp_path: Path) -> None:
    """Readers get the wrong city, so the page shows it beside the database's, marked; nothing is mended by looking."""
    commands = Devicesync(tmp_path)
    cache = f"redis://127.0.0.1:{servers.redis().port}/3"
    try:
        with admin_of(commands.start("up", "--cache", cache, ready=False)) as admin, Redis.from_url(cache) as by_hand:
            commands.json("apply", "-", "--cache", cache, stdin=EVENT)
            until(lambda: "Cache and database are equal" in admin.get("/device?id=broken-by-hand").text)
            by_hand.hset("broken-by-hand", "city", "Nowhere")
            shown = admin.get("/device?id=broken-by-hand").text
            assert all(words in shown for words in ("Cache and database differ", "Nowhere", "Bengaluru"))
            assert shown.count('<tr class="differs">') == 1
            assert by_hand.hget("broken-by-hand", "city") == b"Nowhere"
            by_hand.delete("broken-by-hand")
            assert "The cache does not hold the device" in admin.get("/device?id=broken-by-hand").text
            assert not by_hand.exists("broken-by-hand")
    finally:
        commands.stop_all()
