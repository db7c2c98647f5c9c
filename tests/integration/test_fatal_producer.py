"""Kafka's client may lose count with a broker, for example when that restarts. It calls this fatal, and produces nothing more."""

import ctypes
import re
from collections.abc import Callable
from importlib.metadata import files
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer

from devicesync.dead_letters.kafka import KafkaDeadLetters
from devicesync.dead_letters.port import DeadLetter
from devicesync.errors import Unavailable
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import DEAD_LETTER_SUFFIX, create_topics
from devicesync.log.kafka.forward import KafkaForward
from devicesync.log.kafka.lag import record_count
from devicesync.log.kafka.sink import KafkaSink
from tests import servers


def make_fatal(client: Producer) -> None:
    """As librdkafka's own tests do it. The handle is the first thing in the Python object."""
    path = next(str(file.locate()) for file in files("confluent_kafka") or () if re.match(r"librdkafka.*\.(so|dylib)", file.name))
    librdkafka: Any = ctypes.CDLL(path)
    handle = ctypes.c_void_p.from_address(id(client) + object.__basicsize__)
    assert librdkafka.rd_kafka_test_fatal_error(handle, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, b"planted") == 0


def of_log(url: KafkaUrl) -> tuple[Any, Callable[[], object]]:
    log = KafkaLog(url, "g")
    return log, lambda: log.append([b"a"])


def of_sink(url: KafkaUrl) -> tuple[Any, Callable[[], object]]:
    sink = KafkaSink(url, 1, rekey=False)
    return sink, lambda: sink.put(0, [(0, None, None, b"a", None)])


def of_forward(url: KafkaUrl) -> tuple[Any, Callable[[], object]]:
    source = KafkaUrl.parse(f"kafka://{url.servers}/{url.topic}-from")
    create_topics(source, partitions=1)
    forward = KafkaForward(source, url)
    forward.open()
    return forward, lambda: forward.put({0: [(0, None, None, b"a", None)]})


def of_offering(url: KafkaUrl) -> tuple[Any, Callable[[], object]]:
    forward, _ = of_forward(url)

    def offer_and_put() -> None:
        forward.offer({0: [(0, None, None, b"a", None)]})
        forward.put({0: [(0, None, None, b"a", None)]})

    return forward, offer_and_put


def of_dead_letters(url: KafkaUrl) -> tuple[Any, Callable[[], object]]:
    letters = KafkaDeadLetters(KafkaUrl.parse(f"kafka://{url.servers}/{url.topic.removesuffix(DEAD_LETTER_SUFFIX)}"))
    return letters, lambda: letters.add([DeadLetter(b"a", "malformed_json", "", "t", 0, 0, 1, None)])


@pytest.mark.parametrize("opened", [of_log, of_sink, of_forward, of_offering, of_dead_letters])
def test_a_client_that_is_lost_is_replaced(opened: Callable[[KafkaUrl], tuple[Any, Callable[[], object]]]) -> None:
    """The call fails, as while Kafka is away, and is repeated. Before, each one failed until the process was restarted."""
    name = servers.unused_name("fatal")
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{name}{DEAD_LETTER_SUFFIX}")
    if opened is not of_sink:  # which makes a topic of its own kind
        create_topics(url, partitions=1)
    writer, write = opened(url)
    write()
    make_fatal(writer._producer.client())
    with pytest.raises(Unavailable, match="Fatal"):
        write()
    write()
    assert record_count(url) == 2
