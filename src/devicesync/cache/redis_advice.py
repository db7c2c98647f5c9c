"""Which of a server's settings work, but not as well as they could."""

from collections.abc import Iterator, Mapping

from devicesync.cache.port import Advice

SETTINGS = ("hash-max-listpack-value", "maxmemory", "maxmemory-policy")
_LISTPACK_BYTES = 512


def advice_on(found: Mapping[str, str]) -> Iterator[Advice]:
    """What should be configured differently, where SETTINGS have these values."""
    value_bytes = int(found.get("hash-max-listpack-value", _LISTPACK_BYTES))
    if value_bytes < _LISTPACK_BYTES:
        yield Advice(
            f"hash-max-listpack-value is {value_bytes}: profiles take twice the memory",
            f"CONFIG SET hash-max-listpack-value {_LISTPACK_BYTES}, and in redis.conf",
        )
    if found.get("maxmemory", "0") != "0" and found.get("maxmemory-policy") == "noeviction":
        yield Advice(
            "maxmemory with noeviction: when it is full, nothing is written",
            "maxmemory-policy allkeys-lru; what is evicted is filled again",
        )
