"""One updater and two in a group, as processes of their own, on real Kafka, Redis and Cassandra; and an updater's memory.

The devices are known, and the records are in the topic before the clock starts: the updaters are stopped (SIGSTOP) until then. So
no start is counted. Taken in turn, medians. The servers share the machine's cores with the updaters.

    PYTHONPATH=. python benchmarks/workers.py [--events 60000] [--devices 20000] [--turns 3]
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from figures import tell
from real_servers import Servers, append, servers

from devicesync.errors import Unavailable
from devicesync.log.kafka import KafkaReader, KafkaUrl

LOOK_SECONDS = 0.1
FEWER = 4


class Outcome(NamedTuple):
    """Events a second of all updaters together, and the most memory that one of them took, in MB."""

    rate: float
    memory_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--devices", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    with servers(arguments.devices) as up:
        few: list[Outcome] = []
        one: list[Outcome] = []
        two: list[Outcome] = []
        for turn in range(arguments.turns):
            for outcomes, count, events in (
                (few, 1, arguments.events // FEWER),
                (one, 1, arguments.events),
                (two, 2, arguments.events),
            ):
                outcomes.append(work_off(up, f"workers{turn}x{count}x{events}", arguments.devices, events, count))
    ratio = median(both.rate / single.rate for single, both in zip(one, two, strict=True))
    of_two, of_one = (median(each.rate for each in outcomes) for outcomes in (two, one))
    more = f"{of_two:,.0f} against {of_one:,.0f} events/s; {os.cpu_count()} cores, the servers' too"
    tell("two updaters in a group on known devices, against one", ratio, "×", least=1.8, more=more)
    most = max(each.memory_mb for each in (*few, *one, *two))
    tell("the most memory that an updater took", most, "MB", most=200, more=f"{arguments.events:,} records behind at most")
    grown = median(each.memory_mb for each in one) / median(each.memory_mb for each in few)
    tell(f"its memory {FEWER} times as far behind", grown, "×", most=1.1)


def work_off(up: Servers, name: str, devices: int, events: int, count: int) -> Outcome:
    """What so many updaters make of these events on known devices."""
    now_ms = time.time_ns() // 1_000_000
    kafka = up.load(name, [up.simulation.record(now_ms, device) for device in range(devices)])
    place = KafkaUrl.parse(f"kafka://127.0.0.1:{up.log.port}/{name}")
    up.empty_stores(name)
    with updaters(up, name, count) as processes:
        wait_until_done(place, name, processes)
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        append(kafka, list(up.simulation.records(events, now_ms + 1)))
        began = time.monotonic()
        for process in processes:
            process.send_signal(signal.SIGCONT)
        wait_until_done(place, name, processes)
        rate = events / (time.monotonic() - began)
        return Outcome(rate, max(map(memory_mb, processes)))


@contextmanager
def updaters(up: Servers, name: str, count: int) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """So many processes in a group of this name, for the body."""
    command = [sys.executable, *up.updater(name)]
    environment = {**os.environ, "DEVICESYNC_GROUP": name}
    processes = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait()


def wait_until_done(place: KafkaUrl, group: str, processes: list["subprocess.Popen[bytes]"]) -> None:
    """Until all updaters are members of the group, and it has committed every record."""
    watcher = KafkaReader(place, group)  # it looks, and is no member
    while not (members(place, group) >= len(processes) and is_done(watcher)):
        for process in processes:
            if process.poll() is not None:
                raise SystemExit(f"an updater ended with {process.returncode}")
        time.sleep(LOOK_SECONDS)
    watcher.close()


def is_done(watcher: KafkaReader) -> bool:
    try:
        return watcher.caught_up()
    except Unavailable:
        return False


def members(place: KafkaUrl, group: str) -> int:
    """How many members the group has; 0 while nobody leads it."""
    admin = AdminClient(place.client)  # which has to live until the answer is there
    try:
        return len(admin.describe_consumer_groups([group])[group].result().members)
    except KafkaException:
        return 0


def memory_mb(process: "subprocess.Popen[bytes]") -> float:
    """The most that it ever had in memory."""
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    return int(kib) * 1024 / 1e6


if __name__ == "__main__":
    main()
