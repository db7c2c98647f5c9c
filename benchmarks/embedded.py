"""The embedded default against a bare SQLite upsert, in one run; memory; freshness; where the time goes.

- rate: `apply` of 200,000 events over 50,000 devices, against a bare executemany upsert of the same final columns in the
  same transaction sizes. Expect at least 0.5 of its rate.
- steps: µs per event of decode, law, journal and store.
- memory: peak of `apply` on a ten times larger file. Expect at most 1.2 times.
- freshness: from durable append to readable, at 1,000 events/s for 10 s. Expect p99 ≤ 10 ms.

    python benchmarks/embedded.py
"""

import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from figures import tell

from devicesync.assembly.updater import updating
from devicesync.cache.memory import MemoryCache
from devicesync.config import Settings, load
from devicesync.database import sqlite, sqlite_table
from devicesync.jobs.batch import join_events
from devicesync.law.event import Event, decode
from devicesync.law.state import state_of
from devicesync.log.journal import Journal
from devicesync.simulation import Simulation
from devicesync.status.log_lines import log_to_stderr

EVENTS, DEVICES = 200_000, 50_000
BATCH = Settings().batch_records
COLUMNS = sqlite_table.COLUMNS
UPSERT = (
    f"INSERT INTO device_profile VALUES ({', '.join('?' * len(COLUMNS))}) ON CONFLICT (device_id) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in COLUMNS[1:])
)


def main() -> None:
    log_to_stderr()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        file = directory / "events.jsonl"
        write_events(file, EVENTS, DEVICES)
        memory(directory, file)  # first: a child's peak counts from its parent's size
        compare(directory, file)
        steps(directory, file)
        freshness(directory)


def write_events(file: Path, events: int, devices: int) -> None:
    now_ms = time.time_ns() // 1_000_000
    simulation = Simulation(seed=3, devices=devices, bad_share=0)
    with file.open("wb") as out:
        out.writelines(line + b"\n" for line in simulation.records(events, now_ms - events))


def compare(directory: Path, file: Path) -> None:
    rows = [sqlite_table.row_of(event.device_id, state_of(event)) for event in read(file)]
    ours, bare = [], []
    for turn in range(3):
        bare.append(bare_upsert(directory / f"bare-{turn}.db", rows))
        ours.append(apply(file, directory / f"apply-{turn}")[0])
    del rows
    print(f"bare upsert  {EVENTS / min(bare):9,.0f} rows/s   {min(bare) / EVENTS * 1e6:6.1f} µs   (best of 3)")
    print(f"apply        {EVENTS / min(ours):9,.0f} events/s {min(ours) / EVENTS * 1e6:6.1f} µs   (best of 3)")
    tell(
        f"`apply`, {EVENTS:,} events over {DEVICES:,} devices, against a bare SQLite upsert of the same rows",
        min(bare) / min(ours),
        "×",
        least=0.5,
        more=f"{EVENTS / min(ours):,.0f} events/s",
    )


def bare_upsert(path: Path, rows: list[list[object]]) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(sqlite_table.CREATE)
    started = time.perf_counter()
    for start in range(0, len(rows), BATCH):
        connection.execute("BEGIN")
        connection.executemany(UPSERT, rows[start : start + BATCH])
        connection.execute("COMMIT")
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


def apply(file: Path, directory: Path) -> tuple[float, int]:
    """The seconds that `apply` reports, and its peak memory in bytes."""
    out, into = os.pipe()
    command = [sys.executable, "-m", "devicesync", "apply", str(file), "--data-dir", str(directory), "--json"]
    child = os.posix_spawn(sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, into, 1)])
    os.close(into)
    with os.fdopen(out, "rb") as stdout:
        document = msgspec.json.decode(stdout.read())
    _, status, usage = os.wait4(child, 0)
    assert status == 0
    return float(document["seconds"]), usage.ru_maxrss * 1024


def read(file: Path) -> list[Event]:
    now_ms = time.time_ns() // 1_000_000
    return [decode(line, taken_ms=now_ms) for line in file.read_bytes().splitlines()]


def steps(directory: Path, file: Path) -> None:
    lines = file.read_bytes().splitlines()
    with timed("decode"):
        events = read(file)
    with timed("law: join per device"):
        batches = [join_events(events[start : start + BATCH]) for start in range(0, EVENTS, BATCH)]
    journal = Journal(directory / "steps.log", segment_bytes=1 << 26, retention_seconds=0)
    with timed("journal: append"):
        for start in range(0, EVENTS, BATCH):
            journal.append(lines[start : start + BATCH])
    reader = journal.reader("bench")
    with timed("journal: read"):
        while reader.poll(BATCH, 0):
            pass
    reader.close()
    journal.close()
    database, cache = sqlite.SqliteDatabase(directory / "steps.db"), MemoryCache()
    with timed("store: database and cache"):
        for batch in batches:
            cache.merge(database.merge(batch), cache.look(batch).tickets)
    database.close()
    print()


@contextmanager
def timed(step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{step:<28}{(time.perf_counter() - started) / EVENTS * 1e6:6.1f} µs per event")


def memory(directory: Path, file: Path) -> None:
    small = directory / "small.jsonl"
    write_events(small, EVENTS // 10, DEVICES // 10)
    peaks = [apply(path, directory / f"memory-{path.stem}")[1] for path in (small, file)]
    of_each = f"{peaks[0] >> 20} MiB for {EVENTS // 10:,} events, {peaks[1] >> 20} MiB for {EVENTS:,}"
    tell("peak memory of `apply` on a ten times larger file", peaks[1] / peaks[0], "×", most=1.2, more=of_each)


def freshness(directory: Path, rate: int = 1000, seconds: int = 10) -> None:
    os.sync()  # what the steps before left for the disk to write is not measured here
    settings = load({"data_dir": str(directory / "fresh")}, {}).settings
    stop = threading.Event()
    with updating(settings, "up", stop) as embedded:
        updater = threading.Thread(target=embedded.updater.run)
        updater.start()
        simulation = Simulation(seed=1, devices=DEVICES, bad_share=0)
        began, written = time.monotonic(), 0
        while written < rate * seconds:
            due = int((time.monotonic() - began) * rate) - written
            now_ms = time.time_ns() // 1_000_000
            embedded.journal.append([simulation.record(now_ms) for _ in range(due)])
            written += due
            time.sleep(0.001)
        while embedded.reader.unread():
            time.sleep(0.01)
        stop.set()
        updater.join()
    spread = embedded.updater.counts.freshness.take()
    more = f"p50 {spread.p50_ms:.1f} ms, max {spread.max_ms:.1f} ms over {spread.records:,} records"
    tell(f"embedded freshness at {rate:,} events/s, p99", spread.p99_ms, "ms", most=10, more=more)


if __name__ == "__main__":
    main()
