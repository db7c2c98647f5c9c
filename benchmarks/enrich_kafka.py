"""`devicesync enrich` from topic to topic beside a bare loop; and what hearing of a change costs, from Redis and from the log.

- job: 200,000 events of 1.2 KB in 4 partitions, 95 % of their devices remembered. Expect 0.6 of the rate of a bare loop with
  confluent-kafka that consumes and produces the same bytes and does nothing else. Both in a process of their own, in turn, the
  best of two.
- hearing: 50,000 changes. By tracking: the CPU of a process whose near cache hears of them. By following the log: the CPU of a
  process that reads the registrations and decodes and joins them, as it has to: the log is ahead of Redis, so a read of Redis
  after a record may still give the old profile, and the follower has to keep the newest state itself.

    PYTHONPATH=. python benchmarks/enrich_kafka.py
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, Producer
from devstack.servers import Kafka, Redis
from figures import tell
from telemetry import BASE, DEVICES, device, event, fill, profile

from devicesync.assembly.opening import open_cache
from devicesync.enrich.enricher import Enricher
from devicesync.jobs.batch import join_events
from devicesync.law.event import decode
from devicesync.law.state import State  # noqa: TC001
from devicesync.log.kafka import KafkaLog, KafkaReader, KafkaUrl
from devicesync.log.kafka.admin import create_topics

EVENTS, CHANGES, PARTITIONS = 200_000, 50_000, 4
SOURCE, LOG = "telemetry", "registrations"


class Rate(NamedTuple):
    """Events a second by the clock, and µs of CPU for each, the process' start included."""

    rate: float
    cpu_us: float


def produce(kafka: str) -> None:
    chance = random.Random(1)
    producer = Producer({"bootstrap.servers": kafka, "compression.type": "lz4", "linger.ms": 50})
    cold = iter(range(1000, DEVICES))
    for number in range(EVENTS):
        is_hot = chance.random() < 0.95
        known = chance.randrange(1000) if is_hot else next(cold, number % DEVICES)
        producer.produce(SOURCE, event(device(known), number), key=device(known), partition=number % PARTITIONS)
        if not number % 1000:
            producer.poll(0)
    producer.flush()


def bare(kafka: str, target: str) -> None:
    """Consumes and produces the same bytes, with keys, headers and times; prints its rate."""
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": target, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    producer = Producer(
        {"bootstrap.servers": kafka, "acks": "all", "enable.idempotence": True, "compression.type": "lz4", "linger.ms": 2}
    )
    consumer.subscribe([SOURCE])
    done, began = 0, 0.0
    while done < EVENTS:
        messages = consumer.consume(5000, 1.0)
        began = began or time.perf_counter()
        for message in messages:
            while True:
                try:
                    headers: Any = message.headers()
                    producer.produce(
                        target,
                        message.value(),
                        message.key(),
                        message.partition() or 0,
                        None,
                        None,
                        message.timestamp()[1],
                        headers,
                    )
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
        producer.flush()
        if messages:
            consumer.commit(asynchronous=False)
        done += len(messages)
    print(EVENTS / (time.perf_counter() - began))
    consumer.close()


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rate_of_bare(kafka: str, turn: int) -> Rate:
    command, before = [sys.executable, __file__, "--bare", kafka, f"bare{turn}"], cpu()
    rate = float(subprocess.check_output(command))
    return Rate(rate, (cpu() - before) / EVENTS * 1e6)


def rate_of_job(kafka: str, cache: str, turn: int, directory: Path) -> Rate:
    """From its first acknowledged event to its last, by its log."""
    (directory / "devicesync.toml").write_text(f'group = "turn{turn}"\n')
    flags = ["--telemetry-from", f"kafka://{kafka}/{SOURCE}", "--telemetry-to", f"kafka://{kafka}/job{turn}", "--cache", cache]
    command = [sys.executable, "-m", "devicesync", "enrich", *flags, "--until-caught-up", "--json", "-v"]
    before = cpu()
    done = subprocess.run(command, cwd=directory, capture_output=True, check=True)
    assert json.loads(done.stdout)["written"] == EVENTS, done.stdout
    batches = [json.loads(line) for line in done.stderr.splitlines() if b'"batch"' in line]
    first, last = (time_of(batch["timestamp"]) for batch in (batches[0], batches[-1]))
    return Rate((EVENTS - batches[0]["records"]) / (last - first), (cpu() - before) / EVENTS * 1e6)


def time_of(text: str) -> float:
    from datetime import datetime  # noqa: PLC0415 - only here

    return datetime.fromisoformat(text).timestamp()


def hearing(kafka: str, cache_url: str) -> None:
    cache, url = open_cache(cache_url), KafkaUrl.parse(f"kafka://{kafka}/{LOG}")
    with Enricher(cache_url) as enricher:
        ids = [device(number) for number in range(1000)]
        enricher.lookup(ids)
        enricher.tracking.opened.wait()
        child = subprocess.Popen([sys.executable, __file__, "--change", cache_url])
        before, wall = time.process_time(), time.monotonic()
        child.wait()
        idle = 0.0
        tracked = time.process_time() - before
        wall = time.monotonic() - wall
        before = time.process_time()
        time.sleep(2)
        idle = (time.process_time() - before) / 2
    cache.close()
    create_topics(url, PARTITIONS)
    records = [registration(number) for number in range(CHANGES)]
    KafkaLog(url, "bench").append(records, [device(number % 1000).encode() for number in range(CHANGES)])
    reader = KafkaReader(url, "follower")
    known: dict[str, State] = {}
    read = 0
    before = time.process_time()
    while read < CHANGES:
        polled = reader.poll(500, 1.0)
        known |= join_events([decode(record.value or b"", taken_ms=record.taken_ms) for record in polled])
        read += len(polled)
    followed = time.process_time() - before
    reader.close()
    print(
        f"hearing of a change, CPU: by tracking {(tracked - idle * wall) / CHANGES * 1e6:.1f} µs, and {idle * 100:.1f} % of a "
        f"core for the proofs; by following the log {followed / CHANGES * 1e6:.1f} µs. "
        f"Bytes: {len(device(1))} of a key, {len(records[0])} of a registration"
    )


def registration(number: int) -> bytes:
    place = {
        "country_code": "IN", "country": "India", "state_code": "KA", "state": "Karnataka", "city": f"city {number}",
        "state_custom": "Karnataka", "state_code_custom": "29", "district_custom": "Mysuru",
        "device_spec": {"os": "Android 6.0", "make": "Motorola XT1706"},
        "uaspec": {"agent": "Chrome", "ver": "76.0", "system": "Android", "raw": "Mozilla/5.0 (Linux; Android 6.0)"},
    }  # fmt: skip
    return json.dumps({"device_id": device(number % 1000), "version": BASE + number, **place}).encode()


def change(cache_url: str) -> None:
    """As the updater does it, a hundred at a time."""
    cache = open_cache(cache_url)
    for start in range(0, CHANGES, 100):
        cache.merge({device(number % 1000): profile(device(number % 1000), 10 + number) for number in range(start, start + 100)})


def main() -> None:
    if sys.argv[1:2] == ["--bare"]:
        bare(*sys.argv[2:])
        return
    if sys.argv[1:2] == ["--change"]:
        change(sys.argv[2])
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        server, broker = Redis(directory / "redis"), Kafka(directory / "kafka")
        server.start()
        broker.start()
        try:
            kafka, cache = f"127.0.0.1:{broker.port}", f"redis://127.0.0.1:{server.port}/2"
            for topic in (SOURCE, "bare0", "bare1", "job0", "job1"):
                create_topics(KafkaUrl.parse(f"kafka://{kafka}/{topic}"), PARTITIONS)
            fill(cache, DEVICES)
            produce(kafka)
            rates = [(rate_of_bare(kafka, turn), rate_of_job(kafka, cache, turn, directory)) for turn in range(2)]
            plain, job = (max(column) for column in zip(*rates, strict=True))
            more = (
                f"{job.rate:,.0f} events/s, {job.cpu_us:.1f} µs of CPU each, against {plain.rate:,.0f} and {plain.cpu_us:.1f} µs"
            )
            tell(
                "`enrich` from topic to topic, against a bare loop of the same bytes",
                job.rate / plain.rate,
                "×",
                least=0.6,
                more=more,
            )
            hearing(kafka, cache)
        finally:
            broker.stop()
            server.stop()


if __name__ == "__main__":
    main()
