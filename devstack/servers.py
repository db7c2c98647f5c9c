"""How each server is started: the commands and settings, tried on two cores."""

import subprocess
import time
from pathlib import Path

from devstack.jars import jars, java
from devstack.server import Server, answers, free_ports, program

_AGREED_SECONDS = 30.0
_REDIS = "on Debian `apt-get install redis-server`"

_KAFKA = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={directory}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""

_CASSANDRA = """\
cluster_name: devstack
num_tokens: 16
allocate_tokens_for_local_replication_factor: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: "127.0.0.1:{storage}"}}]
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: {storage}
ssl_storage_port: {ssl}
native_transport_port: {port}
start_native_transport: true
commitlog_sync: periodic
commitlog_sync_period: 10000ms
commitlog_disk_access_mode: legacy
data_file_directories: ["{directory}/data"]
commitlog_directory: {directory}/commitlog
saved_caches_directory: {directory}/saved_caches
hints_directory: {directory}/hints
cdc_raw_directory: {directory}/cdc_raw
disk_failure_policy: stop
commit_failure_policy: stop
auto_snapshot: false
"""
_LOGBACK = '<configuration><root level="WARN"/></configuration>\n'
_EXPORTS = [
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport.tcp",
    "java.sql/java.sql",
    "java.base/java.lang.ref",
    "jdk.unsupported/sun.misc",
    "jdk.compiler/com.sun.tools.javac.file",
]
_OPENS = [
    "java.base/java.lang.module",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.reflect",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.nio",
    "jdk.management/com.sun.management.internal",
    "java.rmi/sun.rmi.transport.tcp",
]


class Redis(Server):
    """A Redis server on `port`; `options` are added to its command line."""

    def __init__(self, directory: Path, *options: str) -> None:
        (self.port,) = free_ports(1)
        command = [
            program("redis-server", _REDIS),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        super().__init__("Redis", _made(directory), [*command, *options], lambda: answers(self.port))


class RedisCluster:
    """Three Redis servers that form a Cluster."""

    def __init__(self, directory: Path) -> None:
        self.servers = [Redis(directory / str(number), "--cluster-enabled", "yes") for number in range(3)]

    def start(self) -> None:
        """Start the servers and join them."""
        for server in self.servers:
            server.start()
        nodes = [f"127.0.0.1:{server.port}" for server in self.servers]
        client = program("redis-cli", _REDIS)
        subprocess.run([client, "--cluster", "create", *nodes, "--cluster-yes"], check=True, stdout=subprocess.DEVNULL)
        # Made is not yet agreed upon: each node has to see all slots covered.
        deadline = time.monotonic() + _AGREED_SECONDS
        for server in self.servers:
            while b"cluster_state:ok" not in subprocess.check_output([client, "-p", str(server.port), "cluster", "info"]):
                if time.monotonic() > deadline:
                    raise RuntimeError("the Redis Cluster did not agree on its slots")
                time.sleep(0.1)

    def stop(self) -> None:
        """Stop them."""
        for server in self.servers:
            server.stop()


class Kafka(Server):
    """A Kafka broker on `port`, KRaft, one node for both roles."""

    def __init__(self, directory: Path) -> None:
        self.port, controller = free_ports(2)
        directory = _made(directory)
        self._properties = directory / "server.properties"
        self._properties.write_text(_KAFKA.format(port=self.port, controller=controller, directory=directory))
        self._java = [java(), "-Xmx1g", "-cp", f"{jars('kafka')}/*"]
        super().__init__("Kafka", directory, [*self._java, "kafka.Kafka", str(self._properties)], lambda: answers(self.port))

    def start(self, *, wait: bool = True) -> None:
        """See Server; formats its storage the first time."""
        if not (self.directory / "data").exists():
            tool = [*self._java, "kafka.tools.StorageTool"]
            cluster = subprocess.run([*tool, "random-uuid"], check=True, capture_output=True, text=True).stdout.split()[-1]
            subprocess.run([*tool, "format", "-t", cluster, "-c", str(self._properties)], check=True, capture_output=True)
        super().start(wait=wait)


class Cassandra(Server):
    """A Cassandra node on `port`."""

    def __init__(self, directory: Path, heap: str = "1g") -> None:
        self.port, storage, ssl, jmx = free_ports(4)
        directory = _made(directory)
        (directory / "cassandra.yaml").write_text(
            _CASSANDRA.format(port=self.port, storage=storage, ssl=ssl, directory=directory)
        )
        (directory / "logback.xml").write_text(_LOGBACK)
        lib = jars("cassandra")
        (agent,) = lib.glob("jamm-*.jar")
        flags = [f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS] + [
            f"--add-opens={name}=ALL-UNNAMED" for name in _OPENS
        ]
        properties = {
            "jdk.attach.allowAttachSelf": "true",
            "cassandra.config": f"file://{directory}/cassandra.yaml",
            "cassandra.storagedir": str(directory),
            "logback.configurationFile": f"file://{directory}/logback.xml",
            "cassandra-foreground": "yes",
            "cassandra.jmx.local.port": str(jmx),
            "cassandra.skip_wait_for_gossip_to_settle": "0",
            "cassandra.ring_delay_ms": "1",
            "io.netty.tryReflectionSetAccessible": "true",
            "jna.nosys": "true",
        }
        command = [
            java(), f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseG1GC", "-Xss256k", f"-javaagent:{agent}", *flags,
            *(f"-D{name}={value}" for name, value in properties.items()),
            "-cp", f"{lib}/*", "org.apache.cassandra.service.CassandraDaemon",
        ]  # fmt: skip
        super().__init__("Cassandra", directory, command, lambda: answers(self.port))


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory.absolute()
