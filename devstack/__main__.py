"""`make stack`: start Redis, Kafka and Cassandra, say how to use them, and stop them on Ctrl-C."""

import argparse
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

from devstack.server import Missing
from devstack.servers import Cassandra, Kafka, Redis


def main() -> int:
    """Run the stack until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser("make stack", description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path(".stack"), help="where the servers keep their data [.stack]")
    directory = parser.parse_args().directory
    shutil.rmtree(directory, ignore_errors=True)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        redis, kafka, cassandra = Redis(directory / "redis"), Kafka(directory / "kafka"), Cassandra(directory / "cassandra")
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 3
    servers = (redis, kafka, cassandra)
    began = time.monotonic()
    try:
        for server in servers:
            server.start(wait=False)
        for server in servers:
            server.wait_ready()
            print(f"{server.name:<10} ready after {time.monotonic() - began:4.1f} s on port {server.port}", flush=True)
        settings = directory / "devicesync.toml"
        settings.write_text(
            f'log = "kafka://127.0.0.1:{kafka.port}/dev.events.deviceprofile"\n'
            f'database = "cassandra://127.0.0.1:{cassandra.port}/dev_device_db"\n'
            f'cache = "redis://127.0.0.1:{redis.port}/2"\n'
        )
        print(f"\nsettings are in {settings}; in another terminal:\n")
        for command in ("init", "doctor", "update"):
            print(f"  .venv/bin/devicesync {command} --config {settings}")
        print("\nCtrl-C stops everything and removes nothing but processes.", flush=True)
        stop.wait()
    finally:
        for server in servers:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
