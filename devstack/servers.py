"""How each server is started: the commands and settings, tried on two cores."""

import signal
import subprocess
import time
from pathlib import Path

from devstack.jars import jars, java
from devstack.server import Server, answers, free_ports, ports, program

_AGREED_SECONDS = 30.0
_CLUSTER_BUS = 10_000  # so far above its port a node of a Redis Cluster listens too
_REDIS = "on Debian `apt-get install redis-server`"

_CLUSTER = "ZGV2aWNlc3luYy1kZXZzdA"  # 16 bytes in base64: a broker that stands alone shares its name with nobody
_KAFKA = """\
process.roles={roles}
node.id={node}
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={directory}/data
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""

_KAFKA_TELLS = [
    f"-Dorg.slf4j.simpleLogger.{setting}"
    for setting in (
        "showDateTime=true",
        "dateTimeFormat=HH:mm:ss",
        "defaultLogLevel=warn",
        "log.kafka.server.BrokerServer=info",
        "log.kafka.server.BrokerLifecycleManager=info",
        "log.kafka.server.KafkaRaftServer=info",
    )
]
"""What goes into its output: more than warnings takes a fifth more of the processor when it starts."""

_KAFKA_SECURED = """\
listeners=SASL_SSL://127.0.0.1:{port},PLAINTEXT://127.0.0.1:{inside},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=SASL_SSL://127.0.0.1:{port},PLAINTEXT://127.0.0.1:{inside}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={pem}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{user};User:ANONYMOUS
"""

_CASSANDRA_SECURED = """\
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
client_encryption_options:
  enabled: true
  optional: false
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
  keystore: {pem}
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
data_file_directories: ["{directory}/data"]
commitlog_directory: {directory}/commitlog
saved_caches_directory: {directory}/saved_caches
hints_directory: {directory}/hints
cdc_raw_directory: {directory}/cdc_raw
disk_failure_policy: stop
commit_failure_policy: stop
auto_snapshot: false
partition_denylist_enabled: true
denylist_refresh: 1s
denylist_consistency_level: ONE
denylist_reads_enabled: false
"""
_CASSANDRA_FROM_5 = "commitlog_disk_access_mode: legacy\n"
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
        directory = _made(directory)
        (self.port,) = ports(directory, 1, beside=_CLUSTER_BUS if "--cluster-enabled" in options else 0)
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
        super().__init__("Redis", directory, [*command, *options], lambda: answers(self.port))


class RedisSentinel:
    """A primary, a replica, and one Sentinel that watches them as `service`."""

    service = "profiles"

    def __init__(self, directory: Path) -> None:
        self.primary = Redis(directory / "primary")
        self.replica = Redis(directory / "replica", "--replicaof", "127.0.0.1", str(self.primary.port))
        (self.port,) = free_ports(1)
        configuration = _made(directory) / "sentinel.conf"
        configuration.write_text(
            f"port {self.port}\nsentinel monitor {self.service} 127.0.0.1 {self.primary.port} 1\n"
            f"sentinel down-after-milliseconds {self.service} 500\nsentinel failover-timeout {self.service} 2000\n"
        )
        command = [program("redis-server", _REDIS), str(configuration), "--sentinel"]
        self._sentinel = Server("Redis Sentinel", directory, command, lambda: answers(self.port))

    def start(self) -> None:
        """Start all three."""
        for server in (self.primary, self.replica, self._sentinel):
            server.start()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop them."""
        for server in (self._sentinel, self.replica, self.primary):
            server.stop(how)


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

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop them."""
        for server in self.servers:
            server.stop(how)


class Kafka(Server):
    """A Kafka broker on `port`, KRaft, one node for both roles.

    secured: a PEM file with key (PKCS #8) and certificates; `port` then takes TLS, and SCRAM-SHA-512. USER, with PASSWORD, may do
        everything, and others what ACLs grant them.
    runs: another process has started it in this directory; this one uses it.
    joins: the broker whose cluster it joins, as a broker alone. replicas: of what the groups have committed.
    """

    USER, PASSWORD = "admin", "kafka-secret"

    def __init__(
        self,
        directory: Path,
        secured: Path | None = None,
        *,
        runs: bool = False,
        heap: str = "1g",
        joins: "Kafka | None" = None,
        replicas: int = 1,
    ) -> None:
        directory = _made(directory)
        self.port, inside, own = ports(directory, 3, runs=runs)
        self.controller: int = joins.controller if joins else own
        self._properties = directory / "server.properties"
        listeners = f"PLAINTEXT://127.0.0.1:{self.port}" + ("" if joins else f",CONTROLLER://127.0.0.1:{self.controller}")
        node, roles = (2, "broker") if joins else (1, "broker,controller")
        text = _KAFKA.format(
            node=node,
            roles=roles,
            listeners=listeners,
            port=self.port,
            controller=self.controller,
            directory=directory,
            replicas=replicas,
        )
        self._users: list[str] = []
        if secured:
            text += _KAFKA_SECURED.format(port=self.port, inside=inside, controller=self.controller, pem=secured, user=self.USER)
            self._users = ["--add-scram", f"SCRAM-SHA-512=[name={self.USER},password={self.PASSWORD}]"]
        if not runs:
            self._properties.write_text(text)
        self._java = [java(), f"-Xmx{heap}", *_KAFKA_TELLS, "-cp", f"{jars('kafka')}/*"]
        super().__init__("Kafka", directory, [*self._java, "kafka.Kafka", str(self._properties)], lambda: answers(self.port))

    def start(self, *, wait: bool = True) -> None:
        """See Server; formats its storage the first time."""
        if not (self.directory / "data").exists():
            words = ["format", "--cluster-id", _CLUSTER, "--config", str(self._properties), *self._users]
            subprocess.run([*self._java, "kafka.tools.StorageTool", *words], check=True, capture_output=True)
        super().start(wait=wait)


class KafkaPair:
    """Two brokers of one cluster. `stays` is its controller too; `leaves` is the one to stop.

    Half of a topic's partitions then have no leader, where each has one replica. What groups have committed has two.
    """

    def __init__(self, directory: Path) -> None:
        self.stays = Kafka(directory / "stays", heap="384m", replicas=2)
        self.leaves = Kafka(directory / "leaves", heap="384m", joins=self.stays, replicas=2)

    @property
    def servers(self) -> str:
        """The addresses of both."""
        return f"127.0.0.1:{self.stays.port},127.0.0.1:{self.leaves.port}"

    def start(self) -> None:
        """Start both."""
        for server in (self.stays, self.leaves):
            server.start(wait=False)
        for server in (self.stays, self.leaves):
            server.wait_ready()

    def told(self) -> str:
        """The ends of their outputs."""
        return f"{self.stays.told()}\n{self.leaves.told()}"

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop both."""
        for server in (self.leaves, self.stays):
            server.stop(how)


class Cassandra(Server):
    """A Cassandra node on `port`.

    release: 5.0 or 4.1.
    secured: a PEM file with key (PKCS #8) and certificates; clients then need TLS, and a role: cassandra, with the password
        cassandra, may do everything, and others what they were granted.
    lasting: False where it is never stopped and started again: a keyspace is then made in a fifth of the time.
    runs: another process has started it in this directory; this one uses it.
    """

    def __init__(
        self,
        directory: Path,
        heap: str = "1g",
        secured: Path | None = None,
        release: str = "5.0",
        *,
        lasting: bool = True,
        runs: bool = False,
    ) -> None:
        directory = _made(directory)
        self.port, storage, ssl, jmx = ports(directory, 4, runs=runs)
        text = _CASSANDRA.format(port=self.port, storage=storage, ssl=ssl, directory=directory)
        text += _CASSANDRA_FROM_5 if release == "5.0" else ""
        if not runs:
            (directory / "cassandra.yaml").write_text(text + (_CASSANDRA_SECURED.format(pem=secured) if secured else ""))
            (directory / "logback.xml").write_text(_LOGBACK)
        lib = jars("cassandra" if release == "5.0" else f"cassandra-{release}")
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
            "cassandra.superuser_setup_delay_ms": "0",
            "io.netty.tryReflectionSetAccessible": "true",
            "jna.nosys": "true",
            "java.security.manager": "allow",  # 4.1 sets one
            "cassandra.test.flush_local_schema_changes": str(lasting).lower(),
        }
        command = [
            java(), f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseG1GC", "-Xss256k", f"-javaagent:{agent}", *flags,
            *(f"-D{name}={value}" for name, value in properties.items()),
            "-cp", f"{lib}/*", "org.apache.cassandra.service.CassandraDaemon",
        ]  # fmt: skip
        tool = [java(), *flags, f"-Duser.home={directory}"]  # it keeps a history there
        self._nodetool = [*tool, "-cp", f"{lib}/*", "org.apache.cassandra.tools.NodeTool", "-p", str(jmx)]
        super().__init__("Cassandra", directory, command, lambda: answers(self.port))

    def nodetool(self, *arguments: str) -> None:
        """Run one of nodetool's commands, such as flush or compact."""
        subprocess.run([*self._nodetool, *arguments], check=True, capture_output=True)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory.absolute()
