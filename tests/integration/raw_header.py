"""A Kafka record whose header's name is any bytes: Python's client writes texts only, Java's and Go's write what they are given."""

import ctypes
from pathlib import Path

import confluent_kafka

_VALUE, _HEADERS, _TOPIC, _PARTITION, _FLAGS, _COPY = 4, 10, 1, 3, 7, 2


def produce(servers: str, topic: str, partition: int, value: bytes, header: bytes) -> None:
    """Put one record there, with one header of this name; return when the broker has it."""
    (library,) = Path(confluent_kafka.__file__).parents[1].glob("confluent_kafka.libs/librdkafka-*")
    kafka = ctypes.CDLL(str(library))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(kafka, name).restype = ctypes.c_void_p
    conf = ctypes.c_void_p(kafka.rd_kafka_conf_new())
    error = ctypes.create_string_buffer(512)
    assert kafka.rd_kafka_conf_set(conf, b"bootstrap.servers", servers.encode(), error, ctypes.c_size_t(512)) == 0
    producer = ctypes.c_void_p(kafka.rd_kafka_new(0, conf, error, ctypes.c_size_t(512)))
    headers = ctypes.c_void_p(kafka.rd_kafka_headers_new(ctypes.c_size_t(1)))
    size = ctypes.c_ssize_t
    assert kafka.rd_kafka_header_add(headers, header, size(len(header)), b"1", size(1)) == 0
    failed = kafka.rd_kafka_producev(
        producer,
        *(_TOPIC, topic.encode(), _PARTITION, ctypes.c_int32(partition), _FLAGS, _COPY),
        *(_VALUE, value, ctypes.c_size_t(len(value)), _HEADERS, headers, 0),
    )
    assert failed == 0
    assert kafka.rd_kafka_flush(producer, 10_000) == 0
    kafka.rd_kafka_destroy(producer)
