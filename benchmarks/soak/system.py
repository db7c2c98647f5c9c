"""The servers and the commands of a whole system, in a directory of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

from devstack.servers import Cassandra, Kafka, Redis

from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics

PARTITIONS = 6
GROUP = "soak"
_FILE_BYTES = str(16 << 20)
_LISTENING = re.compile(r"listening on (http://[\d.:]+)")


class System:
    """Two updaters of one group, an `api` and a `backup run`, over Redis, Kafka and Cassandra."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.redis, self.kafka = Redis(directory / "redis"), Kafka(directory / "kafka")
        self.cassandra = Cassandra(directory / "cassandra")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start_servers(self) -> None:
        """Start all three, and make the topic and the tables."""
        for server in (self.redis, self.kafka, self.cassandra):
            server.start(wait=False)
        for server in (self.redis, self.kafka, self.cassandra):
            server.wait_ready()
        create_topics(self.topic, PARTITIONS)
        subprocess.run([*self._command("init"), *self.flags], check=True, env=self._environment, stdout=subprocess.DEVNULL)

    @property
    def topic(self) -> KafkaUrl:
        """Where the log is."""
        return KafkaUrl.parse(f"kafka://127.0.0.1:{self.kafka.port}/soak.events.deviceprofile")

    @property
    def database_url(self) -> str:
        """Where the database is."""
        return f"cassandra://127.0.0.1:{self.cassandra.port}/soak_device_db"

    @property
    def cache_url(self) -> str:
        """Where the cache is."""
        return f"redis://127.0.0.1:{self.redis.port}/2"

    @property
    def flags(self) -> list[str]:
        """What leads a command to these servers."""
        log = f"kafka://{self.topic.servers}/{self.topic.topic}"
        return ["--log", log, "--database", self.database_url, "--cache", self.cache_url]

    def open_log(self) -> KafkaLog:
        """A producer of its own."""
        return KafkaLog(self.topic, GROUP)

    def start_updater(self, name: str) -> None:
        """Start one more updater."""
        self._start(name, "update")

    def start_backup(self) -> None:
        """Start the backup."""
        self._start("backup", "backup", "run", "--to", str(self.directory / "backup"), "--max-file-bytes", _FILE_BYTES)

    def start_api(self) -> str:
        """Start the API; its address."""
        self._start("api", "api", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
        output = self._output("api")
        while not (found := _LISTENING.search(output.read_text())):
            if self.processes["api"].poll() is not None:
                raise RuntimeError(f"the API did not start:\n{output.read_text()}")
        return found[1]

    def kill_updater(self, name: str) -> None:
        """End it with SIGKILL."""
        self.processes[name].kill()
        self.processes[name].wait()

    def ended(self) -> list[str]:
        """The processes that have ended, with the last of what they said."""
        return [
            f"{name} ended with {process.poll()}: {self._output(name).read_text()[-500:]}"
            for name, process in self.processes.items()
            if process.poll() is not None
        ]

    def stop(self) -> list[str]:
        """End the processes with SIGTERM and then the servers; what did not end with 0."""
        for process in self.processes.values():
            process.terminate()
        wrong = [f"{name} left with {status}" for name, process in self.processes.items() if (status := process.wait(60))]
        for server in (self.redis, self.kafka, self.cassandra):
            server.stop()
        return wrong

    def _start(self, name: str, *words: str) -> None:
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        with self._output(name).open("ab") as output:
            self.processes[name] = subprocess.Popen(
                [*self._command(*words), *self.flags, "--data-dir", str(directory)],
                cwd=directory, env=self._environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def _output(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "DEVICESYNC_GROUP": GROUP, "DEVICESYNC_MAX_CONNECTIONS": "200"}

    @staticmethod
    def _command(*words: str) -> list[str]:
        return [sys.executable, "-m", "devicesync", *words]
