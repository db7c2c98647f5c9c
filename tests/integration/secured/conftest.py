"""The secured servers, started once for the tests of this directory, and stopped after them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from cryptography.hazmat.primitives import serialization
from devstack.server import free_ports
from devstack.servers import Cassandra, Kafka, Redis

from tests.integration.secured.grants import REDIS_PASSWORD, redis_rules
from tests.servers import started


@pytest.fixture(scope="package")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ca.pem, and of the servers' certificate server.pem (key and chain), server.key and server.crt."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1", "localhost")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
    for name, content in (("server.key", key), ("server.crt", chain), ("server.pem", key + chain)):
        (directory / name).write_bytes(content)
    return directory


@pytest.fixture(scope="package")
def secured_redis(certificates: Path) -> Iterator[int]:
    """The port of a Redis that speaks TLS alone, whose users may run no more commands than they need."""
    options = ["--tls-cert-file", f"{certificates}/server.crt", "--tls-key-file", f"{certificates}/server.key"]
    options += ["--tls-ca-cert-file", f"{certificates}/ca.pem", "--tls-auth-clients", "no"]
    (port,) = free_ports(1)
    server = started(lambda directory: Redis(directory, *options, "--tls-port", str(port)))
    client: Any = redis.Redis(port=server.port)
    for rule in redis_rules(REDIS_PASSWORD):
        client.execute_command(*rule)
    client.execute_command("ACL", "SETUSER", "default", "off")
    yield port
    server.stop()


@pytest.fixture(scope="package")
def secured_cassandra(certificates: Path) -> Iterator[Cassandra]:
    """A Cassandra that asks for TLS and a role, and grants roles what they were given alone."""
    server = started(lambda directory: Cassandra(directory, secured=certificates / "server.pem", lasting=False))
    yield server
    server.stop()


@pytest.fixture(scope="package")
def secured_kafka(certificates: Path) -> Iterator[Kafka]:
    """A Kafka that asks for TLS and SCRAM, and grants users what they were given alone."""
    server = started(lambda directory: Kafka(directory, secured=certificates / "server.pem"))
    yield server
    server.stop()
