"""`rebuild` on real servers: after a loss, interrupted, and beside an updater."""

import signal
import time

from tests.end_to_end.command import Devicesync, until
from tests.end_to_end.test_backup import KILLED_WHEN_DONE
from tests.integration.real import Real, erase, registration

V = 1_700_000_000_000_000


def test_a_lost_cache_comes_back_whole(devicesync: Devicesync, real: Real) -> None:
    """Every device; and what an old snapshot of the cache brings back of an erased one goes again."""
    client = real.cache._connections.client  # type: ignore[attr-defined]
    real.send(registration("erased", V, city="Pune"))
    real.load(count=1500).join()
    assert devicesync.run("update", "--until-caught-up").returncode == 0
    snapshot = client.dump("erased")
    real.send(erase("erased", V + 1))
    assert devicesync.run("update", "--until-caught-up").returncode == 0
    names = [*client.scan_iter(count=1000)]
    client.flushall()
    client.restore("erased", 0, snapshot)
    done = devicesync.json("rebuild")
    assert (done["resumed"], done["parts"], done["devices"] >= len(names)) == (False, 256, True)
    assert real.differences() == []
    assert len(real.cache.read(names)) == len(names)


def test_an_interrupted_rebuild_goes_on(devicesync: Devicesync, real: Real) -> None:
    """Killed in the middle, while the cache is down and waited for."""
    client = real.cache._connections.client  # type: ignore[attr-defined]
    real.load(count=1500).join()
    assert devicesync.run("update", "--until-caught-up").returncode == 0
    names = [*client.scan_iter(count=1000)]
    client.flushall()
    process = devicesync.start("rebuild", "--workers", "1", ready=False)
    progress = devicesync.directory / "devicesync-data" / "rebuild.json"
    until(progress.exists)
    real.redis.pause()
    time.sleep(1)
    process.kill()
    process.wait()
    real.redis.resume()
    assert devicesync.json("rebuild")["resumed"]
    assert not progress.exists()
    assert real.differences() == []
    assert len(real.cache.read(names)) == len(names)


def test_a_rebuild_that_goes_on_says_what_it_does_not_know(devicesync: Devicesync, real: Real) -> None:
    """Redis was emptied since, and gave no sign: "30,000 devices", and 27,014 were there. Another database is begun anew."""
    client = real.cache._connections.client  # type: ignore[attr-defined]
    real.load(count=1500).join()
    assert devicesync.run("update", "--until-caught-up").returncode == 0
    assert devicesync.run_by(KILLED_WHEN_DONE, "_rebuild_part", "8", "rebuild").returncode == -signal.SIGKILL
    done = devicesync.run("rebuild")
    assert (done.returncode, b"going on: 8 of 256 parts are done, as of 20" in done.stderr) == (0, True)
    assert b" s, partly as of 20" in done.stdout
    embedded = ("--log", "journal:log", "--database", "sqlite:file.db")
    devicesync.json("apply", "-", *embedded, stdin=registration("one", V) + b"\n" + registration("other", V) + b"\n")
    assert devicesync.run_by(KILLED_WHEN_DONE, "_rebuild_part", "1", "rebuild", *embedded).returncode == -signal.SIGKILL
    for file in devicesync.directory.glob("file.db*"):
        file.unlink()
    devicesync.json("init", *embedded)
    client.flushall()
    assert devicesync.json("rebuild", *embedded)["devices"] == 0


def test_beside_an_updater(devicesync: Devicesync, real: Real) -> None:
    """Nothing newer is overwritten."""
    loading = real.load()
    real.start_updater()
    time.sleep(1)
    for _ in range(3):
        real.cache._connections.client.flushall()  # type: ignore[attr-defined]
        assert devicesync.json("rebuild")["parts"] == 256
    loading.join()
    real.wait_until_caught_up()
    real.stop_updaters()
    assert real.differences() == []


def test_there_is_nothing_to_rebuild_in_memory(devicesync: Devicesync) -> None:
    """It says so."""
    done = devicesync.run("rebuild", "--cache", "memory:")
    assert (done.returncode, b"nothing to rebuild" in done.stderr) == (2, True)
