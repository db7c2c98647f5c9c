"""Kafka Connect, one worker that stands alone, for the benchmark that compares with it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from devstack.jars import jars, java
from devstack.server import Server, ports

_WORKER = """\
bootstrap.servers=127.0.0.1:{kafka}
listeners=http://127.0.0.1:{port}
plugin.path={directory}/plugins
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.storage.file.filename={directory}/offsets
offset.flush.interval.ms=200
consumer.max.poll.records=2000
"""


class Connect(Server):
    """A worker on `port`, with the sinks whose directories of jars are given."""

    def __init__(self, directory: Path, kafka: int, sinks: Mapping[str, Path]) -> None:
        (directory / "plugins").mkdir(parents=True)
        for name, jars_of_it in sinks.items():
            (directory / "plugins" / name).symlink_to(jars_of_it)
        (self.port,) = ports(directory, 1)
        worker = directory / "worker.properties"
        worker.write_text(_WORKER.format(kafka=kafka, port=self.port, directory=directory))
        command = [java(), "-Xmx2g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{jars('connect')}/*"]
        command += ["org.apache.kafka.connect.cli.ConnectStandalone", str(worker)]
        super().__init__("Kafka Connect", directory, command, lambda: self.ask("connectors") is not None)

    def ask(self, path: str, body: object = None, method: str = "GET") -> Any:
        """What its REST API answers, None for nothing. Raises HTTPError."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"http://127.0.0.1:{self.port}/{path}", data, {"Content-Type": "application/json"}, method=method)
        with urlopen(request) as response:  # noqa: S310 - it is http
            text = response.read()
        return json.loads(text) if text else None

    def cpu_seconds(self) -> float:
        """The CPU time that the process has used; it runs."""
        number = self._process.pid if self._process else 0
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
