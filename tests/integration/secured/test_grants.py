"""Each job does its work with the grants of deploy/grants alone, and what lies outside them is refused."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from cassandra import Unauthorized
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from devstack.servers import Cassandra, Kafka

from devicesync.assembly import adapters
from devicesync.config import Settings
from devicesync.dead_letters.kafka import KafkaDeadLetters
from devicesync.errors import Unavailable
from devicesync.law.state import State
from devicesync.log.kafka import KafkaLog, KafkaUrl
from tests import servers
from tests.integration.secured.granted import JOURNAL, KEYSPACE, TELEMETRY, TOPIC, Granted
from tests.integration.secured.grants import PASSWORD, grant_in_cassandra, grant_in_kafka

FAILED = f"{TOPIC}.failed"
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def granted(
    tmp_path_factory: pytest.TempPathFactory,
    certificates: Path,
    secured_kafka: Kafka,
    secured_cassandra: Cassandra,
    secured_redis: int,
) -> Iterator[Granted]:
    """All grants given; topics and tables made by `init`, which has no more than its own."""
    directory = tmp_path_factory.mktemp("granted")
    system = Granted(directory, certificates, secured_kafka, secured_cassandra, secured_redis)
    grant_in_kafka(AdminClient(KafkaUrl.parse(system.log(Kafka.USER, Kafka.PASSWORD)).client), directory)
    session = system.session("cassandra", "cassandra")
    grant_in_cassandra(session, "cassandra-init.cql")
    system.run("init", user="devicesync-init", role="devicesync_init")
    grant_in_cassandra(session, "cassandra.cql")
    session.execute(f"CREATE TABLE {KEYSPACE}.of_others (id text PRIMARY KEY)")
    yield system
    system.commands.stop_all()
    session.cluster.shutdown()


def test_registrations_go_their_way(granted: Granted) -> None:
    """Through the API and shipped from a journal; updated, read, and looked at; refused ones listed, replayed and forgotten."""
    api, address = granted.start_api("devicesync-api", "devicesync_read")
    body = b'{"request": {"fcmToken": "a-token"}}'
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{address}/v1/device/register/mine", body, headers), timeout=60)  # noqa: S310
    granted.run_as_it_stands("simulate", "--count", "40", "--bad", "0", "--log", JOURNAL)
    with (granted.commands.directory / "journal" / "device-profile.log").open("ab") as journal:
        journal.write(b"not JSON\n")
    granted.run_as_it_stands("ship", "--until-caught-up", "--ship-to", granted.log("devicesync-ship"), "--log", JOURNAL)
    granted.run("update", "--until-caught-up", user="devicesync-update", role="devicesync_update")
    found = json.loads(urllib.request.urlopen(f"{address}/v1/device/profile/mine", timeout=60).read())  # noqa: S310
    assert found["result"]["version"]
    api.terminate()
    assert json.loads(granted.run("audit", "--json", user="devicesync-audit", role="devicesync_read"))["checked"] > 1
    live = ("audit", "--live", "--until-caught-up", "--json")
    assert json.loads(granted.run(*live, user="devicesync-audit", role="devicesync_read"))["checked"] == 41
    (letter,) = json.loads(granted.run("dead-letters", "list", "--json", user="devicesync-letters"))["dead_letters"]
    assert (letter["reason"], letter["source"]) == ("malformed_json", TOPIC)
    granted.run("dead-letters", "replay", user="devicesync-letters", role="devicesync_update")
    assert "deleted" in granted.run("dead-letters", "delete", "--older-than", "0", user="devicesync-letters")
    findings = json.loads(granted.run("doctor", "--json", user="devicesync-doctor"))["findings"]
    assert {finding["what"] for finding in findings if finding["status"] == "ok"} >= {"log", "database", "cache"}


def test_the_log_is_backed_up_and_restored(granted: Granted) -> None:
    """Kept, compared with the log record by record, put into a topic, and through the law into both stores."""
    log = KafkaLog(KafkaUrl.parse(granted.log("devicesync-ship")), "nobody")
    log.append([b'{"device_id":"kept","city":"Pune","version":%d}' % (time.time_ns() // 1000)])
    kept = json.loads(granted.run("backup", "run", "--until-caught-up", "--to", "backup", "--json", user="devicesync-backup"))
    verified = granted.run("backup", "verify", "--deep", "--in", "backup", "--json", user="devicesync-backup")
    assert json.loads(verified)["problems"] == []
    granted.run("restore", "--from", "backup", "--to-topic", f"{TOPIC}.restored", user="devicesync-restore")
    restore = ("restore", "--from", "backup", "--to-stores", "--json")
    restored = json.loads(granted.run(*restore, user="devicesync-letters", role="devicesync_update"))
    assert restored["records"] == kept["records"] > 0


def test_telemetry_is_enriched(granted: Granted) -> None:
    """Over topics that `enrich` makes, from a cache that it may read alone; what is no event is kept."""
    makes(KafkaUrl.parse(granted.log(Kafka.USER, Kafka.PASSWORD)).client, TELEMETRY)
    source = KafkaLog(KafkaUrl.parse(granted.log(Kafka.USER, Kafka.PASSWORD, TELEMETRY)), "nobody")
    source.append([b'{"eid":"START","context":{"did":"kept"}}', b"no event"])
    topics = [granted.log("devicesync-enrich", topic=topic) for topic in (TELEMETRY, f"{TELEMETRY.removesuffix('raw')}denorm")]
    flags = ["--telemetry-from", topics[0], "--telemetry-to", topics[1], "--cache", granted.cache("devicesync-enrich")]
    done = json.loads(granted.run_as_it_stands("enrich", "--until-caught-up", "--json", *flags))
    assert (done["written"], done["dead"]) == (1, 1)


@pytest.mark.parametrize("words", [("SET", "kept", "x"), ("HSET", "kept", "city", "x"), ("DEL", "kept"), ("EVAL", "return 1", 0)])
def test_redis_refuses_the_rest_to_enrich(granted: Granted, words: tuple[str | int, ...]) -> None:
    client: Any = redis.Redis.from_url(granted.cache("devicesync-enrich").partition("?")[0], ssl_cert_reqs="none")
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*words)
    client.close()


def writes(client: dict[str, Any], topic: str) -> None:
    errors: list[KafkaError | None] = []
    producer = Producer(client)
    producer.produce(topic, b"{}", on_delivery=lambda error, _: errors.append(error))
    producer.flush(PATIENCE_SECONDS)
    if errors[0] is not None:
        raise KafkaException(errors[0])


def reads(client: dict[str, Any], topic: str) -> None:
    consumer = Consumer({**client, "group.id": "devicesync.survey"})
    unknown = consumer.list_topics(topic, PATIENCE_SECONDS).topics[topic].error
    if unknown is not None:
        raise KafkaException(unknown)
    consumer.assign([TopicPartition(topic, 0, 0)])
    _await(consumer, KafkaError.TOPIC_AUTHORIZATION_FAILED)


def joins(client: dict[str, Any], group: str) -> None:
    consumer = Consumer({**client, "group.id": group})
    consumer.subscribe([TOPIC])
    _await(consumer, KafkaError.GROUP_AUTHORIZATION_FAILED)


def makes(client: dict[str, Any], topic: str) -> None:
    admin = AdminClient(client)  # which has to live until the answer is there
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(PATIENCE_SECONDS)


def cuts(client: dict[str, Any], topic: str) -> None:
    admin = AdminClient(client)
    (cut,) = admin.delete_records([TopicPartition(topic, 0, 0)]).values()
    cut.result(PATIENCE_SECONDS)


def _await(consumer: Consumer, code: int) -> None:
    """Raises KafkaException when it meets this error; returns when it may read."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            error = message.error() if message else None
            if error is not None and error.code() == code:
                raise KafkaException(error)
            if message and error is None:
                return
    finally:
        consumer.close()


@pytest.mark.parametrize(
    ("user", "attempt", "what"),
    [
        ("init", writes, TOPIC),
        ("init", reads, TOPIC),
        ("init", makes, "of-others"),
        ("doctor", writes, TOPIC),
        ("doctor", joins, "devicesync"),
        ("api", makes, "of-others"),
        ("api", cuts, TOPIC),
        ("api", joins, "devicesync"),
        ("api", writes, FAILED),
        ("ship", reads, TOPIC),
        ("ship", writes, FAILED),
        ("update", writes, TOPIC),
        ("update", reads, FAILED),
        ("update", cuts, FAILED),
        ("update", joins, "devicesync.backup"),
        ("backup", writes, TOPIC),
        ("backup", joins, "devicesync"),
        ("audit", writes, TOPIC),
        ("audit", joins, "devicesync"),
        ("restore", writes, TOPIC),
        ("restore", reads, TOPIC),
        ("enrich", writes, TELEMETRY),
        ("enrich", reads, TOPIC),
        ("enrich", writes, TOPIC),
        ("enrich", makes, "of-others"),
        ("letters", reads, TOPIC),
        ("letters", cuts, TOPIC),
    ],
)
def test_kafka_refuses_the_rest(granted: Granted, user: str, attempt: Callable[[dict[str, Any], str], None], what: str) -> None:
    client = KafkaUrl.parse(granted.log(f"devicesync-{user}")).client
    with pytest.raises(KafkaException) as refused:
        attempt(client, what)
    assert "authorization failed" in str(refused.value).lower()


def test_what_kafka_refuses_is_named(granted: Granted) -> None:
    """A client of a user that may not write raised it wherever it was just called back from, as a SystemError at times."""
    log = KafkaLog(KafkaUrl.parse(granted.log("devicesync-backup")), "nobody")
    for _ in range(2):
        with pytest.raises(Unavailable, match="authorization failed"):
            log.append([b"{}"] * 3)
    log.close()
    with pytest.raises(Unavailable, match="authorization failed"):
        KafkaDeadLetters(KafkaUrl.parse(granted.log("devicesync-ship"))).find()


def test_a_store_that_may_not_be_read_is_not_ready(granted: Granted) -> None:
    """It answered, and had its tables: `doctor` and /readyz said that all was well, and each read was a 503."""
    session = granted.session("cassandra", "cassandra")
    session.execute(f"CREATE ROLE blind WITH PASSWORD = '{PASSWORD}' AND LOGIN = true")
    session.execute(f"GRANT MODIFY ON KEYSPACE {KEYSPACE} TO blind")
    session.cluster.shutdown()
    redis_url = f"redis://blind:pw@127.0.0.1:{servers.redis().port}/0"
    client: Any = redis.Redis(port=servers.redis().port)
    client.execute_command("ACL", "SETUSER", "blind", "on", ">pw", "~*", "+ping", "+client", "+hello", "+select", "+info")
    settings = Settings(database=granted.database("blind"), cache=redis_url)
    for opened in (adapters.open_database(settings), adapters.open_cache(settings)):
        with closing(opened), pytest.raises(Unavailable):
            opened.check()
    client.execute_command("ACL", "DELUSER", "blind")
    client.close()


def test_a_command_inside_a_script_that_the_user_may_not_run() -> None:
    """The hint told to look whether Redis runs."""
    port = servers.redis().port
    client: Any = redis.Redis(port=port)
    client.execute_command("ACL", "SETUSER", "hashless", "on", ">pw", "~*", "+@all", "-hset")
    url = f"redis://hashless:pw@127.0.0.1:{port}/0"
    with closing(adapters.open_cache(Settings(cache=url))) as cache, pytest.raises(Unavailable, match="can't run") as refused:
        cache.merge({"d": State(1)}, cache.look(["d"]).tickets)
    client.execute_command("ACL", "DELUSER", "hashless")
    client.close()
    assert "commands that this user may run" in refused.value.hint


@pytest.mark.parametrize(
    ("role", "statements"),
    [
        (
            "devicesync_read",
            [
                "INSERT INTO {}.device_profile (device_id, city) VALUES ('a', 'b')",
                "DELETE FROM {}.device_erasure WHERE device_id = 'a'",
                "SELECT * FROM {}.of_others",
            ],
        ),
        (
            "devicesync_update",
            [
                "SELECT * FROM {}.of_others",
                "DROP TABLE {}.device_profile",
                "ALTER TABLE {}.device_profile ADD mine text",
                "CREATE TABLE {}.mine (id text PRIMARY KEY)",
                "CREATE ROLE mine",
                "SELECT * FROM system_auth.roles",
            ],
        ),
        (
            "devicesync_init",
            [
                "SELECT * FROM {}.of_others",
                "DROP TABLE {}.of_others",
                "CREATE KEYSPACE mine WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}",
            ],
        ),
    ],
)
def test_cassandra_refuses_the_rest(granted: Granted, role: str, statements: list[str]) -> None:
    session = granted.session(role)
    for statement in statements:
        with pytest.raises(Unauthorized):
            session.execute(statement.format(KEYSPACE))
    session.cluster.shutdown()
