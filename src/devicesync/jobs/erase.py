"""Erase: writes a versioned erase into the log, so that every store forgets the device, now and on every replay."""

import msgspec

from devicesync.clock import SYSTEM, Clock
from devicesync.jobs.delivery import Delivery
from devicesync.law.event import check_id, decode
from devicesync.law.state import NOTHING
from devicesync.law.version import next_version
from devicesync.stores import Stores


def erase(device_id: str, stores: Stores, delivery: Delivery, *, max_clock_ahead_ms: int, clock: Clock = SYSTEM) -> int | None:
    """Erase what is known of the device up to now; the erase's version in µs, when both stores have it.

    max_clock_ahead_ms: the updaters' setting. None, and nothing is written, where neither store knows the device. Raises Refused
    for something that is no device id, and for a device that lies further ahead; Unavailable and Stopped.
    """
    check_id(device_id)
    delivery.wait_until_stored()
    known = stores.database.read([device_id]).get(device_id, NOTHING)
    if known == NOTHING:
        return None
    now_us = clock.now_us()
    version = next_version(known.profile_version, now_us)
    value = erase_line(device_id, version)
    delivery.send([value], [decode(value, taken_ms=now_us // 1000, max_clock_ahead_ms=max_clock_ahead_ms)])
    delivery.wait_until_stored()
    return version


def erase_line(device_id: str, version: int, *, is_given: bool = False) -> bytes:
    """An erase as the log carries it. is_given: the API gave it this version, and gives only later ones from then on."""
    return msgspec.json.encode(
        {"device_id": device_id, "erase": True, "version": version} | ({"given": True} if is_given else {})
    )


def says_given(line: bytes) -> bool:
    """Whether the line of an erase says that the API gave its version."""
    return b'"given":true' in line
