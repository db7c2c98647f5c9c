"""A device registers in Bengaluru, and telemetry shows Bengaluru; in Mysuru, and telemetry 100 ms later shows Mysuru.

Over what `make stack` runs: Kafka, Redis and Cassandra. In another terminal, in this repository:

    .venv/bin/python examples/telemetry/two_cities.py .stack/devicesync.toml

It starts `devicesync update` and `devicesync enrich` and stops them at its end. A busy machine may need more than 100 ms from
the log to the stores: give the ms as a second argument. Where the second city does not show, it says so, and ends with 1.
"""

import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

import devicesync

COMMAND = [sys.executable, "-m", "devicesync"]
settings_file = Path(sys.argv[1]).absolute()
later_ms = int(sys.argv[2]) if sys.argv[2:] else 100
settings = tomllib.loads(settings_file.read_text())
broker = settings["log"].removeprefix("kafka://").partition("/")[0]
name = f"two-cities-{time.time_ns() // 1_000_000}"
device_id, source, target = name, f"{name}.telemetry", f"{name}.telemetry.denorm"

log = devicesync.open_log(settings["log"])
producer = Producer({"bootstrap.servers": broker})
consumer = Consumer({"bootstrap.servers": broker, "group.id": name, "auto.offset.reset": "earliest"})


def register(city: str) -> None:
    """Into the log, acknowledged, as the API does it."""
    event = {"device_id": device_id, "version": time.time_ns() // 1000, "city": city, "country": "India"}
    log.append([json.dumps(event).encode()], [device_id.encode()])


def send() -> None:
    """An event of the device."""
    producer.produce(source, json.dumps({"eid": "INTERACT", "context": {"did": device_id}}).encode(), device_id)
    if producer.flush(30):
        raise SystemExit("Kafka did not take the event")


def next_enriched() -> bytes:
    """The next event of the target topic."""
    while True:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            return message.value() or b""


def running(*words: str) -> subprocess.Popen[str]:
    """A command of devicesync, once it says that it runs."""
    started = subprocess.Popen([*COMMAND, *words, "--config", settings_file], stderr=subprocess.PIPE, text=True)  # noqa: S603
    if started.stderr is None or "devicesync " not in started.stderr.readline():
        raise SystemExit(f"devicesync {words[0]} did not start")
    return started


subprocess.run([*COMMAND, "init", "--config", settings_file], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
new = [NewTopic(topic, 1, 1) for topic in (source, target)]
admin = AdminClient({"bootstrap.servers": broker})
for made in admin.create_topics(new).values():
    made.result()
consumer.subscribe([target])
topics = ("--telemetry-from", f"kafka://{broker}/{source}", "--telemetry-to", f"kafka://{broker}/{target}")
jobs = [running("update"), running("enrich", *topics)]
try:
    register("Bengaluru")
    while True:  # the first one waits until the jobs have joined their groups
        send()
        first = next_enriched()
        if b"Bengaluru" in first:
            break
        time.sleep(0.1)
    register("Mysuru")
    time.sleep(later_ms / 1000)
    send()
    second = next_enriched()
finally:
    for job in jobs:
        job.terminate()
    for job in jobs:
        job.wait()
    consumer.close()
for city, event in (("Bengaluru", first), ("Mysuru", second)):
    print(f"registered in {city}; telemetry says {json.loads(event)['devicedata']['city']}:\n  {event.decode()}")
if json.loads(second)["devicedata"]["city"] != "Mysuru":
    raise SystemExit(
        f"Mysuru was not in Redis after {later_ms} ms; on a busy machine give more, such as 1000, as second argument"
    )
