"""Faults of updaters and of Redis. Each ends by comparing every device in Redis and Cassandra with the set-based law."""

import signal
import time

from cassandra.cluster import Cluster

from tests import servers
from tests.end_to_end.command import until
from tests.integration.real import Real, erase, finish, registration

V = 1_700_000_000_000_000
SESSION_SECONDS = 10.0
DENYLIST_SECONDS = 3.0


def test_orders_that_break_others(real: Real) -> None:
    """Put and erase in one batch, triplets in one ms, late events and late erases; then the topic once more from its start."""
    real.send(registration("put-erase", V, city="Pune"), erase("put-erase", V + 1))
    for number in range(10):
        name, at = f"triplet-{number}", V + number * 1000
        real.send(registration(name, at, city="old"), erase(name, at + 1), registration(name, at + 2, city="new"))
        real.send(registration(f"mixed-{number}", at + 2, city="new"), registration(f"mixed-{number}", at, city="old"))
        real.send(erase(f"mixed-{number}", at + 1))
    real.send(registration("late", V + 9, city="new", first_access=V // 1000 - 5))
    real.send(registration("late", V, city="old", state="KA", first_access=V // 1000 - 9), keyed=False)
    real.send(registration("late-erase", V + 9, user_declared_state="KA", first_access=5), keyed=False)
    real.send(erase("late-erase", V + 4), keyed=False)
    real.send(
        registration("tie", V, city="a", device_spec={"os": "9"}), registration("tie", V, city="b", device_spec={"cpu": "x"})
    )
    real.start_updater()
    real.wait_until_caught_up()
    assert real.differences() == []
    real.start_updater(group=f"{real.group}-again")
    real.wait_until_caught_up(f"{real.group}-again")
    finish(real)
    assert real.cache.read(["late"])["late"].first_access == V // 1000 - 9


def test_records_without_a_key_spread_over_partitions(real: Real) -> None:
    """The existing Logstash pipeline sends none; two updaters see a device's events in any order, and still converge."""
    loading = real.load(keyed=False)
    real.start_updater()
    real.start_updater()
    loading.join()
    finish(real)


def test_kill_nine_of_one_of_three(real: Real) -> None:
    """Under load; the others take its partitions over."""
    updaters = [real.start_updater() for _ in range(3)]
    loading = real.load()
    time.sleep(3)
    updaters[1].kill()
    loading.join()
    finish(real)


def test_one_three_two_updaters_under_load(real: Real) -> None:
    """Rebalances lose nothing and let nothing older win."""
    first = real.start_updater()
    loading = real.load()
    time.sleep(1.5)
    real.start_updater()
    real.start_updater()
    time.sleep(2.5)
    first.terminate()
    loading.join()
    finish(real)


def test_a_zombie_wakes_up(real: Real) -> None:
    """Frozen past its session, its partitions moved on; what it then still writes changes nothing."""
    zombie = real.start_updater()
    loading = real.load()
    time.sleep(2)
    zombie.send_signal(signal.SIGSTOP)
    real.start_updater(wait=False)
    loading.join()
    time.sleep(SESSION_SECONDS)
    real.wait_until_caught_up()
    zombie.send_signal(signal.SIGCONT)
    time.sleep(2)
    finish(real)


def test_redis_restarted_empty_and_flushed(real: Real) -> None:
    """The script and all profiles are gone: devices are filled from the database and the event, never from the event alone."""
    real.start_updater()
    loading = real.load()
    time.sleep(2)
    real.redis.stop(signal.SIGKILL)
    time.sleep(1)
    real.redis.start()
    time.sleep(1)
    real.open_cache()._connections.client.flushall()  # type: ignore[attr-defined]
    loading.join()
    finish(real)


def test_redis_out_of_memory(real: Real) -> None:
    """Five seconds of maxmemory with noeviction: back-pressure, then on."""
    real.start_updater()
    client = real.cache._connections.client  # type: ignore[attr-defined]
    loading = real.load()
    time.sleep(1.5)
    client.config_set("maxmemory", "1mb")
    time.sleep(5)
    client.config_set("maxmemory", "0")
    loading.join()
    finish(real)


def test_an_evicted_key_and_a_late_old_event(real: Real) -> None:
    """The version is not forgotten with the key: the fill brings it back from the database."""
    real.send(registration("evicted", V + 9, city="new", country="India"))
    real.start_updater()
    real.wait_until_caught_up()
    real.cache._connections.client.delete("evicted")  # type: ignore[attr-defined]
    real.send(registration("evicted", V, city="old", state="KA"), erase("evicted", V - 9))
    finish(real)
    assert real.cache.read(["evicted"]).get("evicted", real.database.read(["evicted"])["evicted"]).version == V + 9


def test_no_node_of_the_cluster_answers() -> None:
    """Neither when the updater starts nor in the middle of its work: it waits."""
    cluster = servers.redis_cluster()
    real = Real(f"redis+cluster://127.0.0.1:{cluster.servers[0].port}")
    for server in cluster.servers:
        server.pause()
    updater = real.start_updater(wait=False)
    loading = real.load()
    time.sleep(4)
    for server in cluster.servers:
        server.resume()
    time.sleep(3)
    for server in cluster.servers:
        server.pause()
    time.sleep(4)
    for server in cluster.servers:
        server.resume()
    loading.join()
    assert updater.poll() is None
    finish(real)
    real.close()


def test_half_a_batch_fails_in_redis() -> None:
    """One of three nodes of a Cluster answers nothing for six seconds: the others took their part, and take it again."""
    cluster = servers.redis_cluster()
    real = Real(f"redis+cluster://127.0.0.1:{cluster.servers[0].port}")
    real.start_updater()
    loading = real.load()
    time.sleep(1.5)
    cluster.servers[1].pause()
    time.sleep(6)
    cluster.servers[1].resume()
    loading.join()
    finish(real)
    real.close()


def test_half_a_batch_fails_in_cassandra(real: Real) -> None:
    """Cassandra refuses one device's partition (its denylist): the others are written, and all of it once it is allowed."""
    name = "denied"
    deny = ("system_distributed.partition_denylist", real.keyspace)
    with Cluster(["127.0.0.1"], port=real.cassandra.port, protocol_version=5) as cluster, cluster.connect() as session:
        session.execute(
            f"INSERT INTO {deny[0]} (ks_name, table_name, key) VALUES (%s, 'device_profile', %s)", (deny[1], name.encode())
        )
        time.sleep(DENYLIST_SECONDS)
        real.send(*[registration(f"allowed-{number}", V + number, city="Pune") for number in range(50)])
        real.send(registration(name, V, city="Pune"))
        real.start_updater()
        until(lambda: len(real.database.read([f"allowed-{number}" for number in range(50)])) == 50)
        assert "denied" not in real.database.read([name])
        session.execute(f"DELETE FROM {deny[0]} WHERE ks_name = %s AND table_name = 'device_profile'", (deny[1],))
    time.sleep(DENYLIST_SECONDS)
    finish(real)
    assert real.database.read([name])


def test_a_key_of_another_type_in_redis(real: Real) -> None:
    """Somebody's string where a profile belongs is no profile, and stops nobody."""
    real.cache._connections.client.set("taken", "x")  # type: ignore[attr-defined]
    assert real.cache.read(["taken"]) == {}
    real.send(registration("taken", V, city="Pune"), registration("other", V, city="Pune"))
    real.start_updater()
    finish(real)
    assert real.cache.read(["taken"])["taken"].version == V
