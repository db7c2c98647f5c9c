"""The commands on real Kafka, Redis and Cassandra, as a user types them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
from cassandra.cluster import Cluster
from devstack.jars import jars, java

from devicesync.simulation import SEED
from tests.end_to_end.command import Devicesync, until
from tests.integration.real import Real


def console_producer(real: Real, *events: bytes) -> None:
    """Kafka's own producer: plain lines, no key."""
    command = [java(), "-cp", f"{jars('kafka')}/*", "org.apache.kafka.tools.ConsoleProducer"]
    subprocess.run(
        [*command, "--bootstrap-server", real.topic.servers, "--topic", real.topic.topic],
        input=b"\n".join(events) + b"\n",
        check=True,
        capture_output=True,
    )


def test_a_producer_that_is_not_ours(devicesync: Devicesync, real: Real) -> None:
    """The seed's event and a later one, by Kafka's console producer; both stores show them as other teams read them."""
    devicesync.start("update")
    console_producer(real, SEED)
    client: Any = redis.Redis(port=real.redis.port, db=2, decode_responses=True)
    until(lambda: client.hget("232455", "city") == "Bengaluru")
    event = json.loads(SEED)
    found = client.hgetall("232455")
    assert {name: value for name, value in found.items() if not name.startswith("_") and name != "version"} == {
        **{name: event[name] for name in ("city", "country_code", "country", "fcm_token", "state", "state_code")},
        "state_code_custom": "29",
        "state_custom": "Karnataka",
        "producer": "dev.sunbird.portal",
        "devicespec": '{"make":"Motorola XT1706","os":"Android 6.0"}',
        "uaspec": json.dumps(event["uaspec"], sort_keys=True, separators=(",", ":")),
        "firstaccess": "1565328282703",
        "api_last_updated_on": "1566383863167",
    }
    console_producer(real, SEED.replace(b"1566383863167", b"1566383900000").replace(b"Bengaluru", b"Mysuru"))
    until(lambda: client.hget("232455", "city") == "Mysuru")
    with Cluster(["127.0.0.1"], port=real.cassandra.port, protocol_version=5) as cluster:
        session = cluster.connect(real.keyspace)
        row = until(
            lambda: session.execute(
                "SELECT city, device_spec, updated_date, last_access, WRITETIME(city) AS version FROM device_profile"
                " WHERE device_id = '232455' AND city = 'Mysuru' ALLOW FILTERING"
            ).one()
        )
    assert dict(row.device_spec) == {"os": "Android 6.0", "make": "Motorola XT1706"}
    assert row.version == int(client.hget("232455", "version"))
    assert (row.version // 1000, row.last_access) == (1566383900000, None)


def test_the_commands(devicesync: Devicesync, real: Real) -> None:
    """init, doctor, simulate, update with two workers, apply, get, erase, dead letters."""
    for _ in range(2):
        assert devicesync.run("init").returncode == 0
    findings = devicesync.json("doctor")["findings"]
    assert {finding["status"] for finding in findings} == {"ok", "warning"}
    assert any("hash-max-listpack-value" in finding["detail"] for finding in findings)
    assert devicesync.json("simulate", "--count", "500", "--bad", "0.1")["written"] == 500
    assert devicesync.json("update", "--workers", "2", "--until-caught-up")["read"] >= 500
    dead = devicesync.json("dead-letters", "list", "--limit", "1")
    assert dead["total"] > 10
    assert dead["dead_letters"][0]["source"] == real.topic.topic
    assert devicesync.json("dead-letters", "show", dead["dead_letters"][0]["id"]) == dead["dead_letters"][0]
    there = failed_records(devicesync, real)
    assert there >= dead["total"]  # where the workers shared the partitions anew, some are there twice
    assert devicesync.run("dead-letters", "delete", dead["dead_letters"][0]["id"]).returncode == 0
    assert failed_records(devicesync, real) == there + 1
    applied = devicesync.json("apply", "-", stdin=SEED + b"\n[]\n")
    assert (applied["applied"], applied["dead_reasons"]) == (1, {"not_an_object": 1})
    for store in ("cache", "database"):
        assert devicesync.json("get", "232455", "--from", store)["profile"]["city"] == "Bengaluru"
    version = devicesync.json("erase", "232455")["version"]
    devicesync.json("apply", "-", stdin=SEED)
    for store in ("cache", "database"):
        assert devicesync.json("get", "232455", "--from", store, status=1)["version"] == version
    assert devicesync.run("update", "--until-caught-up").returncode == 0
    assert devicesync.json("get", "232455", status=1)["erased"]


def failed_records(devicesync: Devicesync, real: Real) -> int:
    """How many records of the dead-letter topic `doctor` tells of."""
    (told,) = [finding["detail"] for finding in devicesync.json("doctor")["findings"] if finding["what"] == "dead letters"]
    count, of = told.split(maxsplit=1)
    assert of == f"records in {real.topic.topic}.failed: refused ones, and marks of those that were replayed or deleted"
    return int(count.replace(",", ""))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--database", "cassandra://127.0.0.1:1/x_device_db"), b"can't reach Cassandra"),
        (("--cache", "redis://127.0.0.1:1/2"), b"can't reach the cache"),
        (("--log", "kafka://127.0.0.1:1/t"), b"can't reach Kafka"),
        (("--database", "cassandra://h"), b"is not understood"),
        (("--database", "cassandra://h/k?consistency=MOST"), b"consistency can't be 'MOST'"),
        (("--log", "kafka://h:1"), b"is not understood"),
        (("--log", "kafka://h:1/t?acks=0"), b"is not understood"),
    ],
)
def test_doctor_says_what_is_wrong(devicesync: Devicesync, arguments: tuple[str, ...], says: bytes) -> None:
    """A server that is not there, and URLs that can't be right."""
    done = devicesync.run("doctor", *arguments)
    assert done.returncode == 3
    assert says in done.stdout
    assert b"hint: " in done.stdout


def test_workers_need_kafka(tmp_path: Path) -> None:
    """A journal has one reader."""
    done = subprocess.run(
        [sys.executable, "-m", "devicesync", "update", "--workers", "2"], cwd=tmp_path, capture_output=True, check=False
    )
    assert (done.returncode, b"needs a Kafka log" in done.stderr) == (2, True)
