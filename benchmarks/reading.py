"""One way to read a topic to its end, as a process of its own: seconds and CPU seconds from the first record on, as JSON.

python benchmarks/reading.py KAFKA_PORT TOPIC RECORDS default|tuned     a bare consumer that throws everything away
python benchmarks/reading.py KAFKA_PORT TOPIC RECORDS parquet|jsonl     the backup, into a directory of its own
"""

import json
import logging
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import structlog
from confluent_kafka import Consumer, Message

from devicesync.archive.archive import Archive
from devicesync.archive.parquet import spare_memory
from devicesync.archive.storage import Storage
from devicesync.cli.process import stop_on_signals
from devicesync.jobs.backup.partition_backup import Limits, PartitionBackup
from devicesync.jobs.backup.run import Backup
from devicesync.log.kafka import KafkaLog, KafkaUrl

TUNED = {
    "fetch.wait.max.ms": 100,
    "fetch.queue.backoff.ms": 5,
    "queued.max.messages.kbytes": 8192,
    "fetch.max.bytes": 4 << 20,
}
"""What the backup sets; by default the client waits up to a second whenever its queue was full."""


def main() -> None:
    port, topic, records, how = sys.argv[1:]
    stop_on_signals()  # and the garbage collector's thresholds, as in every long-running command
    if how in {"default", "tuned"}:
        bare(port, topic, int(records), TUNED if how == "tuned" else {})
    else:
        with tempfile.TemporaryDirectory() as directory:
            backup(port, topic, Path(directory), how)


def bare(port: str, topic: str, records: int, settings: dict[str, int]) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": f"127.0.0.1:{port}",
            "group.id": f"bare.{time.time_ns()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 2,
            **settings,
        }
    )
    consumer.subscribe([topic])
    messages: list[Message] = []
    while not messages:
        messages = consumer.consume(2000, 1)
    began, cpu = time.perf_counter(), time.process_time()
    done = 0
    while True:
        for message in messages:
            message.key()
            message.value()
            message.headers()
            message.timestamp()
        done += len(messages)
        if done >= records:
            break
        messages = consumer.consume(2000, 1)
    show(time.perf_counter() - began, time.process_time() - cpu, 0)
    consumer.close()


class Timed(Backup):
    """Notes when the first rows came, and when the last file was in its place."""

    began = ended = 0.0
    began_cpu = ended_cpu = 0.0

    def _step(self) -> int:
        before, cpu = time.perf_counter(), time.process_time()
        read = super()._step()
        if read and not self.began:
            self.began, self.began_cpu = before, cpu
        return read

    def _close(self, parts: Iterable[PartitionBackup]) -> None:
        files = self.kept.files
        super()._close(parts)
        if self.kept.files > files:
            self.ended, self.ended_cpu = time.perf_counter(), time.process_time()


def backup(port: str, topic: str, directory: Path, file_format: str) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    log = KafkaLog(KafkaUrl.parse(f"kafka://127.0.0.1:{port}/{topic}"), f"backup.{time.time_ns()}")
    spare_memory()
    spool = directory / "spool"
    spool.mkdir()
    timed = Timed(
        log,
        Archive(Storage(str(directory / "backup")), topic),
        spool,
        limits=Limits(128 << 20, 3600),
        file_format=file_format,
        stop=threading.Event(),
    )
    timed.run(until_caught_up=True)
    show(timed.ended - timed.began, timed.ended_cpu - timed.began_cpu, timed.kept.bytes)


def show(wall: float, cpu: float, size: int) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "bytes": size, "memory": memory}))


if __name__ == "__main__":
    main()
