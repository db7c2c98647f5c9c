"""Server URLs: what each part means to Kafka, Cassandra and Redis, and what is said of a URL that can't be meant."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesync.assembly.opening import split
from devicesync.cache.redis_url import RedisUrl
from devicesync.database.cassandra.url import CassandraUrl
from devicesync.errors import WrongUse
from devicesync.log.kafka.url import KafkaUrl
from devicesync.url import masked, masked_place, secrets_in

Read = Callable[[str], Any]


def test_a_kafka_url_is_read() -> None:
    """Login, every server, topic and options; the port may be left out."""
    url = KafkaUrl.parse("kafka://a%40b:p%2Fw@h1,h2:9093,[::1]:9094/dev.events.deviceprofile?tls=1&ca=/etc/ca.pem&sasl=PLAIN")
    assert (url.servers, url.topic) == ("h1:9092,h2:9093,[::1]:9094", "dev.events.deviceprofile")
    assert (url.user, url.password, url.tls, url.ca, url.sasl) == ("a@b", "p/w", True, "/etc/ca.pem", "PLAIN")


def test_a_cassandra_url_is_read() -> None:
    """All hosts share one port: the one that any of them names."""
    url = CassandraUrl.parse(
        "cassandra://u:p:w@[2001:db8::7],h2:9142/dev_device_db?consistency=ONE&local_dc=dc1&replicas=1&tls=true"
    )
    assert (url.hosts, url.port, url.keyspace) == (["2001:db8::7", "h2"], 9142, "dev_device_db")
    assert (url.user, url.password, url.consistency, url.local_dc, url.replicas, url.tls) == ("u", "p:w", "ONE", "dc1", 1, True)
    assert CassandraUrl.parse("cassandra://[::1]:9042/ks").hosts == ["::1"]
    assert CassandraUrl.parse("cassandra://h1,h2/ks").port == 9042


def test_a_redis_url_is_read() -> None:
    """One server, a Cluster, Sentinel; a password without a user; IPv6."""
    one = RedisUrl.parse("redis://:p@[::1]:6380/7")
    assert (one.kind, one.hosts, one.database, one.user, one.password, one.tls) == ("", [("::1", 6380)], 7, None, "p", False)
    cluster = RedisUrl.parse("rediss+cluster://u:p@h1:7000,h2/?ca=/etc/ca.pem")
    assert (cluster.kind, cluster.hosts, cluster.tls, cluster.ca) == (
        "cluster",
        [("h1", 7000), ("h2", 6379)],
        True,
        "/etc/ca.pem",
    )
    sentinel = RedisUrl.parse("redis+sentinel://h1:26379/main/3")
    assert (sentinel.kind, sentinel.service, sentinel.database) == ("sentinel", "main", 3)
    assert RedisUrl.parse("redis://h").database == RedisUrl.parse("redis+sentinel://h/main").database == 2


@pytest.mark.parametrize(
    ("read", "url", "problem"),
    [
        (CassandraUrl.parse, "cassandra://h1:90x2/ks", "port of 'h1'"),
        (CassandraUrl.parse, "cassandra://h1:9042,h2:9043/ks", "9042 and 9043"),
        (CassandraUrl.parse, "cassandra://::1:9042/ks", "brackets"),
        (CassandraUrl.parse, "cassandra://[::z]:9042/ks", "no IPv6 address"),
        (CassandraUrl.parse, "cassandra://h1,/ks", "host"),
        (CassandraUrl.parse, "cassandra:///ks", "host"),
        (CassandraUrl.parse, "cassandra://h1/1-ks", "keyspace"),
        (CassandraUrl.parse, "cassandra://h1/ks?ltls=1", "option 'ltls'"),
        (CassandraUrl.parse, "cassandra://h1/ks?hosts=x", "option 'hosts'"),
        (CassandraUrl.parse, "cassandra://h1/ks?consistency=MOST", "consistency"),
        (CassandraUrl.parse, "cassandra://h1/ks?replicas=two", "replicas"),
        (KafkaUrl.parse, "kafka://h1:0/t", "port of 'h1'"),
        (KafkaUrl.parse, "kafka://h1:65536/t", "port of 'h1'"),
        (KafkaUrl.parse, "kafka://h1:²/t", "port of 'h1'"),
        (KafkaUrl.parse, "kafka://h1:/t", "port of 'h1'"),
        (KafkaUrl.parse, "kafka://h1 /t", "'h1 '"),
        (KafkaUrl.parse, "kafka://h1:9092", "topic"),
        (KafkaUrl.parse, "kafka://h1:9092/a/b", "topic"),
        (KafkaUrl.parse, "kafka://h1:9092/t?tls", "tls"),
        (KafkaUrl.parse, "kafka://h1:9092/t?tls=maybe", "tls"),
        (KafkaUrl.parse, "kafka://u@h1:9092/t", "password"),
        (KafkaUrl.parse, "kafka://u:p@h1:9092/t?sasl=PLAINX", "PLAINX"),
        (KafkaUrl.parse, "kafka:h1:9092/t", "://"),
        (RedisUrl.parse, "redis://h:abc/2", "port of 'h'"),
        (RedisUrl.parse, "redis://h/two", "'two'"),
        (RedisUrl.parse, "redis://h/²", "'²'"),
        (RedisUrl.parse, "redis://h1,h2/2", "one server"),
        (RedisUrl.parse, "redis://h/2?ca=/etc/ca.pem", "option 'ca'"),
        (RedisUrl.parse, "redis+cluster://h/2", "database 0"),
        (RedisUrl.parse, "redis+sentinel://h", "service"),
        (RedisUrl.parse, "redis+tls://h", "redis+tls://"),
        (RedisUrl.parse, "kafka://h/2", "kafka://"),
        (KafkaUrl.parse, "redis://h/2", "redis://"),
        (CassandraUrl.parse, "kafka://h/ks", "kafka://"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(read: Read, url: str, problem: str) -> None:
    """With what is wrong, and the form as a hint."""
    with pytest.raises(WrongUse) as refused:
        read(url)
    assert problem in str(refused.value)
    assert "'s URL" in str(refused.value)  # which setting it stands in, the reader does not know
    assert "://" in refused.value.hint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:s3cret@h:6379/2", "redis://u:***@h:6379/2"),
        ("redis://:s3cret@h", "redis://:***@h"),
        ("kafka://u:p/w@x@h:9092/t", "kafka://u:***@h:9092/t"),
        ("rediss+cluster://u:s:3@h1,h2", "rediss+cluster://u:***@h1,h2"),
        ("kafka://a@b:s3cret@h:9092/t", "kafka://a@b:***@h:9092/t"),
        ("kafka://h:9092/t", "kafka://h:9092/t"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
        ("sqlite:data/x.db", "sqlite:data/x.db"),
        (" redis://u:s3cret@h", " redis://u:***@h"),
        ("redis//u:s3cret@h", "redis//u:***@h"),
        ("kafka://h/t?tls=1&ca=/etc/ca.pem&sasl=PLAIN", "kafka://h/t?tls=1&ca=/etc/ca.pem&sasl=PLAIN"),
        ("kafka://h/t?tls=1&Password=s3cret&ca=x", "kafka://h/t?tls=1&Password=***&ca=x"),
        ("https://h/p?sig=s3cret&a=s3cret", "https://h/p?sig=***&a=***"),
        ("follow:https://h/p#s3cret", "follow:https://h/p#***"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    """Also where the password holds a slash or an at sign as it is."""
    assert masked(url) == shown


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("simplecache::http://u:s3cret@h:1/x", "simplecache::http://u:***@h:1/x"),
        ("filecache::ftp://u:s3cret@h/x", "filecache::ftp://u:***@h/x"),
        ("zip://a::http://u:s3cret@h/x", "zip://a:***@h/x"),
        ("a::http://v:s3cret@g/x::http://u:s3cret@h/x", "a::http://v:***@h/x"),
        ("  http://u:s3cret@h/x", "  http://u:***@h/x"),
        ("http://h/x?token=s3cret", "http://h/x?token=***"),
        ("http://h/x?a=s3cret&b=s3cret", "http://h/x?a=***&b=***"),
        ("http://u:s3%20cret@h/x", "http://u:***@h/x"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
        ("s3://bucket/a#s3cret", "s3://bucket/a#***"),
        ("s3://bucket/a?b=s3cret#s3cret=s3cret&c#s3cret", "s3://bucket/a?b=***&c#***"),
        ("dir/a?b=c", "dir/a?b=c"),
        ("dir/a#b", "dir/a#b"),
    ],
)
def test_a_backup_s_place_is_shown_without_its_secrets(place: str, shown: str) -> None:
    """In a chain of URLs too."""
    assert masked_place(place) == shown


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("simplecache::http://u:s3cret@h/x", "can't reach http://u:s3cret@h/x"),
        ("zip://a::http://u:s3cret@h/x", "can't log in with s3cret"),
        ("http://u:s3%20cret@h/x", "can't log in with 's3 cret', that is s3%20cret"),
        ("a::http://h/x?n=1&token=s3cret::b", "can't open /x?n=1&token=s3cret"),
        ("s3://bucket/a#s3cret", "can't open bucket/a#s3cret"),
    ],
)
def test_what_a_library_says_of_a_place_shows_no_secret_of_it(place: str, said: str) -> None:
    """Whatever else it says."""
    for secret in secrets_in(place):
        said = said.replace(secret, "***")
    assert said.startswith("can't ")
    assert "cret" not in said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:s3cret@h:abc/2", "redis://u:***@h:***"),
        ("redis://u:s3cret", "redis://u:***"),
        ("redis://u:s3cret/host/0", "redis://u:***"),
        ("redis://u:s3/cret", "redis://u:***"),
        ("redis://u:123456789", "redis://u:***"),
        ("redis://s3cret@h/2", "redis://***@h/2"),
        ("redis://h1:7000,u:s3cret/2", "redis://h1:***"),
        ("redis://u:x:s3cret/2", "redis://u:***"),
        ("redis://[u:s3cret/2", "redis://[u:***"),
        ("redis://a/b:s3cret@h:0/2", "redis://a/b:***@h:0/2"),
        ("redis:/u:s3cret@h/2", "redis:***"),
        ("redis:u:s3cret@h/2", "redis:***"),
        ("redis:/u:s3cret@h/2?x=://", "redis:***"),
        ("redis://h:65536/2", "redis://h:65536/2"),
        ("redis://h:/2", "redis://h:/2"),
        ("redis://[::z]:7000/2", "redis://[::z]:7000/2"),
        ("redis:", "redis:"),
        ("https://h/p?sig=s3cret", "https://h/p?sig=***"),
    ],
)
def test_an_error_does_not_show_the_password(url: str, shown: str) -> None:
    """Also where a part is missing, so that the password stands in another's place; an ordinary mistake is shown."""
    for read in (RedisUrl.parse, lambda text: split("log", text, ("journal:PATH",))):
        with pytest.raises(WrongUse) as refused:
            read(url)
        assert "cret" not in str(refused.value) + refused.value.hint
        assert f"{shown!r} is not understood" in str(refused.value)


PIECES = st.sampled_from(
    ["kafka", "cassandra", "redis", "rediss+cluster", "redis+sentinel", "://", ":", "@", "/", "?", ",", "[", "]", "::1", "h"]
)
TEXTS = st.lists(PIECES | st.sampled_from(["9042", "tls=1", "ca", "&", "%", "%zz", "=", "0"]) | st.text(max_size=3)).map("".join)


@settings(max_examples=300)
@given(TEXTS, st.sampled_from([KafkaUrl.parse, CassandraUrl.parse, RedisUrl.parse]))
def test_any_text_is_read_or_is_wrong_use(text: str, read: Read) -> None:
    """Never another error, whatever stands there."""
    with suppress(WrongUse):
        read(text)


@given(st.text(min_size=1), st.sampled_from(["", "user", "a@b"]))
def test_no_password_is_shown(password: str, user: str) -> None:
    """Whatever is in it: what is shown does not depend on it."""
    assert masked(f"kafka://{user}:{password}@h/topic") == f"kafka://{user}:***@h/topic"
