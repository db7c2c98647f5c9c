"""From device-profile.log into Kafka: by `ship`, by rsyslog, and directly; then into Redis and Cassandra."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from devicesync.log.port import Record
from tests.api.conftest import AGENT
from tests.api.test_http import BODY, REGISTER
from tests.end_to_end.command import WAIT_SECONDS, Devicesync, until
from tests.end_to_end.test_api import read_at
from tests.integration.real import Real

DEPLOY = Path(__file__).parents[2] / "deploy"
BAD_LINE = b'{"device_id": 5, "city": "Pune"}'


@pytest.fixture
def devicesync(tmp_path: Path) -> Iterator[Devicesync]:
    commands = Devicesync(tmp_path)
    yield commands
    commands.stop_all()


def client_of(process: Any) -> httpx.Client:
    line = process.stderr.readline()
    return httpx.Client(base_url=re.findall("http://[0-9.:]+", line)[0], headers={"User-Agent": AGENT}, timeout=30)


def topic_of(real: Real) -> str:
    return f"kafka://{real.topic.servers}/{real.topic.topic}"


def shipped(real: Real, count: int) -> list[Record]:
    """The first records of the topic, once there are so many."""
    reader = real.log.reader("test")
    records: list[Record] = []

    def enough() -> bool:
        records.extend(reader.poll(10_000, 0.2))
        return len(records) >= count

    until(enough)
    reader.close()
    return records


def seen_in_both(real: Real, name: str) -> bool:
    cached, stored = real.cache.read([name]), real.database.read([name])
    return name in cached and name in stored


def test_ship(devicesync: Devicesync, real: Real) -> None:
    """Through the API into the journal, into Kafka byte for byte and keyed; killed and started anew; into both stores."""
    api = devicesync.start("api", ready=False)
    with client_of(api) as client:
        for number in range(300):
            assert client.post(f"{REGISTER}device-{number % 50}", json=BODY).status_code == 200
        first = devicesync.start("ship", "--ship-to", topic_of(real))
        twice = devicesync.run("ship", "--ship-to", topic_of(real))
        assert (twice.returncode, b"is held by `devicesync ship`" in twice.stderr) == (3, True)
        until(lambda: shipped(real, 1))
        first.kill()
        first.wait()
        for number in range(300):
            client.post(f"{REGISTER}device-{number % 50}", json=BODY)
    with (devicesync.directory / "devicesync-data" / "device-profile.log").open("rb") as file:
        lines = [line.rstrip(b"\n") for line in file]
    devicesync.json("ship", "--ship-to", topic_of(real), "--until-caught-up")
    assert devicesync.json("ship", "--ship-to", topic_of(real), "--until-caught-up") == {"shipped": 0}
    records = shipped(real, len(lines))
    assert {record.value for record in records} == set(lines)
    for record in records:
        assert record.key == json.loads(record.value or b"")["device_id"].encode()
    real.start_updater()
    until(lambda: all(seen_in_both(real, f"device-{number}") for number in range(50)))


def test_ship_says_what_it_needs(devicesync: Devicesync) -> None:
    for flags in ((), ("--ship-to", "redis://h:1"), ("--ship-to", "kafka://h:1/t", "--log", "kafka://h:1/t")):
        done = devicesync.run("ship", *flags)
        assert (done.returncode, b"hint: " in done.stderr) == (2, True)


def test_rsyslog(devicesync: Devicesync, real: Real, tmp_path: Path) -> None:
    """The configuration of deploy/, run by rsyslogd: the same, through a rotation, bad lines too."""
    program = shutil.which("rsyslogd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None or not [*Path("/usr/lib").glob("*/rsyslog/omkafka.so")]:
        lacking = "rsyslogd or its omkafka is missing; on Debian `apt-get install rsyslog rsyslog-kafka`"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(lacking)
    log = tmp_path / "devicesync-data" / "device-profile.log"
    (tmp_path / "spool").mkdir()
    text = (DEPLOY / "rsyslog" / "device-profile.conf").read_text()
    for here, there in (
        ("BROKER:9092", real.topic.servers),
        ("ENV.events.deviceprofile", real.topic.topic),
        ("/PATH/TO/device-profile.log", str(log)),
        ("/var/spool/rsyslog", str(tmp_path / "spool")),
    ):
        assert here in text
        text = text.replace(here, there)
    (tmp_path / "rsyslog.conf").write_text(text)
    api = devicesync.start("api", ready=False)
    command = [program or "", "-n", "-f", str(tmp_path / "rsyslog.conf"), "-i", str(tmp_path / "rsyslog.pid")]
    daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        with client_of(api) as client:
            for number in range(200):
                assert client.post(f"{REGISTER}device-{number}", json=BODY).status_code == 200
            with log.open("ab") as file:
                file.write(BAD_LINE + b"\n")
            lines = log.read_bytes().splitlines()
            records = shipped(real, len(lines))
        assert {record.value for record in records} == set(lines)
        for record in records:
            if record.value != BAD_LINE:
                assert record.key == json.loads(record.value or b"")["device_id"].encode()
    finally:
        daemon.terminate()
        told = daemon.communicate(timeout=WAIT_SECONDS)[0]
    assert b"error" not in told.lower(), told
    real.start_updater()
    until(lambda: all(seen_in_both(real, f"device-{number}") for number in range(200)))


def test_the_api_into_kafka_reads_its_own_write(devicesync: Devicesync, real: Real) -> None:
    """`log = kafka://…`: acknowledged when Kafka has it, and read back through Redis at that version."""
    real.start_updater()
    api = devicesync.start("api", *real.flags, ready=False)
    with client_of(api) as client:
        client.post(f"{REGISTER}warm", json=BODY)
        for number in range(20):
            version = client.post(f"{REGISTER}device-{number}", json=BODY).json()["result"]["version"]
            assert read_at(client, f"device-{number}", version)["version"] == version


def test_the_logstash_configuration_has_a_sound_form() -> None:
    """Braces balance, and every option is one of the plugin's. There is no Logstash here to run it."""
    text = re.sub(r"#.*", "", (DEPLOY / "logstash" / "device-profile.conf").read_text())
    assert text.count("{") == text.count("}")
    known = {
        "path", "start_position", "sincedb_path", "codec", "charset", "source", "target", "tag_on_failure",
        "bootstrap_servers", "topic_id", "message_key", "format", "acks", "compression_type",
    }  # fmt: skip
    assert set(re.findall(r"(\w+) =>", text)) == known
