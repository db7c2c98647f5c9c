"""`make stack`: start Redis, Kafka and Cassandra, say how to use them, and stop them on Ctrl-C or SIGTERM.

What they hold and the ports they have are kept for the next start; remove the directory to begin anew.
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from devicesync.assembly.demo import installed_city_file
from devstack.server import Missing
from devstack.servers import Cassandra, Kafka, Redis

_SETTINGS = """\
log = "kafka://127.0.0.1:{kafka}/dev.events.deviceprofile"
database = "cassandra://127.0.0.1:{cassandra}/dev_device_db"
cache = "redis://127.0.0.1:{redis}/2"
{city_file}"""
_NEXT = """
In another terminal, in this directory:

  . .venv/bin/activate
  devicesync init --config {settings}
  devicesync doctor --config {settings}
  devicesync up --config {settings}     # the updater, the API and the page

and in a third one, or with `cp {settings} devicesync.toml` and without --config:

  . .venv/bin/activate
  devicesync simulate --count 1000 --config {settings}
  echo '{{"device_id":"232455","api_last_updated_on":1566383863167,"city":"Bengaluru"}}' | devicesync apply - --config {settings}
  devicesync get 232455 --config {settings}

What the servers hold (cqlsh: `pip install cqlsh`):

  redis-cli -p {redis} -n 2 HGETALL 232455
  cqlsh 127.0.0.1 {cassandra} -e "SELECT * FROM dev_device_db.device_profile WHERE device_id = '232455'"

Ctrl-C stops the servers; {directory} keeps their data and ports for the next `make stack`."""


def main() -> int:
    """Run the stack until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser("make stack", description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path(".stack"), help="where the servers keep their data [.stack]")
    directory = parser.parse_args().directory
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    try:
        redis = Redis(directory / "redis", "--appendonly", "yes")
        kafka, cassandra = Kafka(directory / "kafka"), Cassandra(directory / "cassandra")
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 3
    servers = (redis, kafka, cassandra)
    ports = {"redis": redis.port, "kafka": kafka.port, "cassandra": cassandra.port}
    settings = directory / "devicesync.toml"
    settings.write_text(_SETTINGS.format(**ports, city_file=_city_file()))
    began = time.monotonic()
    try:
        for server in servers:
            server.start(wait=False)
        for server in servers:
            server.wait_ready()
            print(f"{server.name:<10} ready after {time.monotonic() - began:4.1f} s on port {server.port}", flush=True)
        print(_NEXT.format(settings=settings, directory=directory, **ports), flush=True)
        while True:
            signal.pause()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for server in servers:
            server.stop()
        print("stopped", flush=True)


def _city_file() -> str:
    file = installed_city_file()
    return f"city_file = {json.dumps(file)}\n" if file else ""


def _leave(number: int, frame: object) -> None:
    del number, frame
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
