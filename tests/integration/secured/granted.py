"""Secured servers whose users have the grants of deploy/grants, and commands that are one of these users."""

import re
import subprocess
from pathlib import Path

from cassandra.cluster import Session
from devstack.servers import Cassandra, Kafka

from devicesync.database.cassandra import CassandraUrl
from devicesync.database.cassandra.datastax import cluster
from tests.end_to_end.command import Devicesync
from tests.integration.secured.grants import PASSWORD, REDIS_PASSWORD

TOPIC = "dev.events.deviceprofile"
KEYSPACE = "dev_device_db"
TELEMETRY = "dev.telemetry.raw"
JOURNAL = "journal:journal/device-profile.log"


class Granted:
    """Three secured servers, and commands that reach each of them as a user of few rights."""

    def __init__(self, directory: Path, certificates: Path, kafka: Kafka, cassandra: Cassandra, redis_port: int) -> None:
        self.commands = Devicesync(directory)
        self._kafka, self._cassandra, self._ca = kafka.port, cassandra.port, certificates / "ca.pem"
        self._redis = redis_port

    def log(self, user: str, password: str = PASSWORD, topic: str = TOPIC) -> str:
        """A topic's URL for this user."""
        return f"kafka://{user}:{password}@127.0.0.1:{self._kafka}/{topic}?tls=1&ca={self._ca}"

    def cache(self, user: str = "devicesync") -> str:
        """The URL of the cache for this user."""
        return f"rediss://{user}:{REDIS_PASSWORD}@127.0.0.1:{self._redis}/2?ca={self._ca}"

    def session(self, role: str, password: str = PASSWORD) -> Session:
        """A session of this role in Cassandra."""
        return cluster(CassandraUrl.parse(self.database(role, password))).connect()

    def run(self, *words: str, user: str, role: str = "devicesync_read") -> str:
        """What a command prints that is this user in Kafka and that role in Cassandra, after checking that it did its work."""
        return self.run_as_it_stands(*words, *self._flags(user, role))

    def run_as_it_stands(self, *words: str) -> str:
        """What a command prints, after checking that it did its work."""
        done = self.commands.run(*words)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
        return done.stdout.decode()

    def start_api(self, user: str, role: str) -> tuple[subprocess.Popen[str], str]:
        """An `api` of this user and role, and its address."""
        anywhere = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
        process = self.commands.start("api", *anywhere, *self._flags(user, role), ready=False)
        assert process.stderr
        address = re.search(r"listening on (http://[\d.:]+)", process.stderr.readline())
        assert address
        return process, address[1]

    def _flags(self, user: str, role: str) -> list[str]:
        return ["--log", self.log(user), "--database", self.database(role), "--cache", self.cache()]

    def database(self, role: str, password: str = PASSWORD) -> str:
        return f"cassandra://{role}:{password}@127.0.0.1:{self._cassandra}/{KEYSPACE}?tls=1&ca={self._ca}"
