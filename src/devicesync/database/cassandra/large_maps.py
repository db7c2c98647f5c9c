"""Cassandra takes a map apart, and so must we: what that needs has a bound."""

from collections.abc import Iterator, Mapping

from devicesync.law.state import State

_BYTES_AT_ONCE = 4 << 20


def in_parts(changes: Mapping[str, State]) -> Iterator[dict[str, State]]:
    """Yield the changes in parts. The maps of a part have few MiB: a map taken apart needs twelve times its text."""
    part: dict[str, State] = {}
    size = 0
    for device_id, change in changes.items():
        part[device_id] = change
        size += change.text_bytes
        if size > _BYTES_AT_ONCE:
            yield part
            part, size = {}, 0
    if part:
        yield part
