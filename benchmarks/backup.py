"""The backup and the restore on real Kafka, Redis and Cassandra, in one run. Realistic registrations, 64 partitions.

- rate: into Parquet, against a bare confluent-kafka consumer that reads key, value, headers and timestamp of each record and
  throws them away (reading.py), once as the client is by default, once with the backup's own fetch settings. Expect at least
  0.4 of the former. Peak memory: at most 256 MB.
- size: Parquet against gzipped JSON lines as Secor writes them. Expect at most 0.85.
- restore into both stores, against one updater over the same records; devices that mostly came once, and that came ten times.
  Expect at least 0.9 of its rate.
- idle: from a record's acknowledgement to its being in a closed file. Expect at most the age that is set + 2 s.

    PYTHONPATH=. python benchmarks/backup.py [--records 1200000] [--events 100000]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from operator import itemgetter
from pathlib import Path
from typing import Any

import redis
from devstack.servers import Cassandra, Kafka, Redis
from figures import tell

from devicesync.archive.archive import Archive
from devicesync.archive.storage import Storage
from devicesync.database.cassandra import CassandraDatabase, CassandraUrl
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from devicesync.simulation import Simulation, key_of

PARTITIONS = 64
DEVICES = 200_000
BATCH = 2000
TURNS = 2
MAX_AGE_SECONDS = 3.0
READING = Path(__file__).parent / "reading.py"
COMMAND = [sys.executable, "-m", "devicesync"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_200_000)
    parser.add_argument("--events", type=int, default=100_000)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp())
    log = Kafka(directory / "kafka")
    stores = (Redis(directory / "redis"), Cassandra(directory / "cassandra", heap="3g"))
    try:
        log.start()
        reading(log, arguments.records)
        idle(log, directory)
        for store in stores:
            store.start()
        for devices in (DEVICES, DEVICES // 20):
            restoring(log, *stores, events=arguments.events, devices=devices, directory=directory)
    finally:
        for server in (log, *stores):
            server.stop()
        shutil.rmtree(directory)


def load(log: Kafka, topic: str, count: int, devices: int = DEVICES) -> int:
    """Fill a topic; the bytes of keys and values."""
    place = KafkaUrl.parse(f"kafka://127.0.0.1:{log.port}/{topic}")
    create_topics(place, PARTITIONS)
    kafka = KafkaLog(place, "producer")
    simulation = Simulation(seed=1, devices=devices, bad_share=0)
    began_ms = time.time_ns() // 1_000_000 - count
    size = 0
    for start in range(0, count, BATCH):
        some = [simulation.record(began_ms + number) for number in range(start, min(start + BATCH, count))]
        keys = [key_of(value) for value in some]
        kafka.append(some, list(keys))
        size += sum(map(len, some)) + sum(map(len, keys))
    return size


def reading(log: Kafka, records: int) -> None:
    size = load(log, "reading", records)

    def best(how: str) -> dict[str, Any]:
        runs = [
            subprocess.check_output([sys.executable, READING, str(log.port), "reading", str(records), how]) for _ in range(TURNS)
        ]
        return min((json.loads(run) for run in runs), key=itemgetter("wall"))

    found = {how: best(how) for how in ("default", "tuned", "parquet", "jsonl")}
    names = {
        "default": "bare consumer",
        "tuned": "bare, our fetching",
        "parquet": "backup to Parquet",
        "jsonl": "backup to JSON lines",
    }
    print(f"{records:,} records of {size / records:.0f} bytes in {PARTITIONS} partitions, one process, best of {TURNS}:")
    for how, run in found.items():
        print(
            f"  {names[how]:<22}{records / run['wall']:>10,.0f} records/s {size / run['wall'] / 1e6:>6.0f} MB/s"
            f" {size / run['cpu'] / 1e6:>6.0f} MB/s per core {run['memory']:>6.0f} MB memory"
        )
    ratio, strict = (found[how]["wall"] / found["parquet"]["wall"] for how in ("default", "tuned"))
    parquet, lines = found["parquet"]["bytes"], found["jsonl"]["bytes"]
    rate, memory = records / found["parquet"]["wall"], found["parquet"]["memory"]
    more = f"{rate:,.0f} records/s; {strict:.2f} × one with the backup's fetch settings"
    tell("backup to Parquet, one process, 64 partitions, against a bare consumer", ratio, "×", least=0.4, more=more)
    tell("its memory", memory, "MB", most=256)
    tell("its size, against gzipped JSON lines as Secor writes them", parquet / lines, "×", most=0.85, more=f"raw {size:,} bytes")


def idle(log: Kafka, directory: Path) -> None:
    load(log, "idle", 1000)
    flags = ["--log", f"kafka://127.0.0.1:{log.port}/idle", "--data-dir", str(directory / "data")]
    archive = Archive(Storage(str(directory / "idle")), "idle")
    words = ["backup", "run", "--to", str(directory / "idle"), "--max-file-seconds", str(MAX_AGE_SECONDS)]
    running = subprocess.Popen([*COMMAND, *words, *flags], stderr=subprocess.DEVNULL)
    waits = []
    kept = 1000
    while sum(entry.records for entry in archive.manifest.entries()) < kept:
        time.sleep(0.1)
    for _ in range(5):
        load(log, "idle", 1)
        kept += 1
        acknowledged = time.perf_counter()
        while sum(entry.records for entry in archive.manifest.entries()) < kept:
            time.sleep(0.02)
        waits.append(time.perf_counter() - acknowledged)
    running.terminate()
    running.wait()
    print(f"idle topic, files closed at {MAX_AGE_SECONDS:.0f} s: a record is in one after {max(waits):.2f} s at most", flush=True)


def restoring(log: Kafka, cache: Redis, database: Cassandra, *, events: int, devices: int, directory: Path) -> None:
    topic = f"restoring-{devices}"
    load(log, topic, events, devices)
    data = ["--data-dir", str(directory / "data"), "--log", f"kafka://127.0.0.1:{log.port}/{topic}"]
    place = str(directory / topic)
    subprocess.run([*COMMAND, "backup", "run", "--to", place, "--until-caught-up", *data], check=True, stderr=subprocess.DEVNULL)
    seconds: dict[str, list[float]] = {"updater": [], "restore": [], "restore, 2 processes": []}
    for turn in range(TURNS + 1):
        for name, words in {
            "updater": ["update", "--until-caught-up"],
            "restore": ["restore", "--from", place, "--to-stores", "--workers", "1"],
            "restore, 2 processes": ["restore", "--from", place, "--to-stores", "--workers", "2"],
        }.items():
            keyspace = f"run{devices}_{len(name)}{turn}"
            made = CassandraDatabase(CassandraUrl.parse(f"cassandra://127.0.0.1:{database.port}/{keyspace}"))
            made.create()
            made.close()
            redis.Redis(port=cache.port).flushall()
            stores = [
                "--cache",
                f"redis://127.0.0.1:{cache.port}/2",
                "--database",
                f"cassandra://127.0.0.1:{database.port}/{keyspace}",
            ]
            began = time.perf_counter()
            environment = {**os.environ, "DEVICESYNC_GROUP": keyspace}
            subprocess.run(
                [*COMMAND, *words, *data, *stores],
                check=True,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if turn:  # the first one warms the servers
                seconds[name].append(time.perf_counter() - began)
    print(f"{events:,} events of {devices:,} devices into empty Redis and Cassandra, whole commands, best of {TURNS}:")
    best = {name: min(runs) for name, runs in seconds.items()}
    for name, least in best.items():
        print(f"  {name:<22}{events / least:>8,.0f} events/s  {best['updater'] / least:.2f} of the updater's rate")
    what = f"restore into both stores and proof, two processes, {events:,} events of {devices:,} devices, against one updater"
    tell(what, best["updater"] / best["restore, 2 processes"], "×", least=0.9)


if __name__ == "__main__":
    main()
