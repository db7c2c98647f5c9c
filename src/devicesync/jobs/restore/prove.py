"""The second step: writes a bucket's devices into both stores, and proves that both have them."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from devicesync.clock import SYSTEM, Clock
from devicesync.few import few_at_once
from devicesync.law.profile import view
from devicesync.law.state import NOTHING, State, join
from devicesync.stores import Stores

_BATCH_DEVICES = 2000
_LOOK_AGAIN_SECONDS = (0.5, 2.0, 5.0)
_canonical_json = msgspec.json.Encoder(order="sorted").encode


class Proof(NamedTuple):
    """The proof of one bucket: its number of devices, how many differ in each store from what is expected, and three digests.

    What is expected is the backup joined with what the stores know, which may be newer. A digest is the SHA-256, in hex, of the
    SHA-256 of the documents of the bucket's devices (`get --json`), in order. Before a restore, what differs would change.
    """

    devices: int
    cache_differs: int
    database_differs: int
    expected: str
    cache: str
    database: str
    differing: list[str]


class _Compared(NamedTuple):
    """The SHA-256 of a device's documents."""

    expected: bytes
    cache: bytes
    database: bytes


def write_and_prove(
    states: Mapping[str, State], stores: Stores, *, dry_run: bool, cache_is_private: bool = False, clock: Clock = SYSTEM
) -> Proof:
    """Join the states into both stores, unless it is a dry run, and compare. Safe to repeat. Raises Unavailable.

    cache_is_private: the cache lives in another process's memory, and is filled from the database; a dry run leaves it out.
    """
    leave_out = dry_run and cache_is_private
    digests = [hashlib.sha256() for _ in range(3)]
    cache_differs = database_differs = 0
    differing = []
    for ids in few_at_once(sorted(states), _BATCH_DEVICES):
        some = {device_id: states[device_id] for device_id in ids}
        if not dry_run:
            stores.restore(some)
        for device_id, compared in _compare_patiently(some, stores, clock, dry_run=dry_run, leave_out=leave_out).items():
            for digest, of_document in zip(digests, compared, strict=True):
                digest.update(of_document)
            cache_differs += compared.cache != compared.expected
            database_differs += compared.database != compared.expected
            if len({*compared}) > 1:
                differing.append(device_id)
    expected, in_cache, in_database = (digest.hexdigest() for digest in digests)
    return Proof(len(states), cache_differs, database_differs, expected, in_cache, in_database, differing[:10])


def _compare_patiently(
    some: dict[str, State], stores: Stores, clock: Clock, *, dry_run: bool, leave_out: bool
) -> dict[str, _Compared]:
    """A difference counts only if it is still there after a while, because events may arrive between two readings."""
    compared = _compare(some, stores, fill=not dry_run, leave_out=leave_out)
    for seconds in () if dry_run else _LOOK_AGAIN_SECONDS:
        differing = {device_id: some[device_id] for device_id, found in compared.items() if len({*found}) > 1}
        if not differing:
            break
        clock.sleep(seconds)
        compared |= _compare(differing, stores, fill=True, leave_out=leave_out)
    return compared


def _compare(some: dict[str, State], stores: Stores, *, fill: bool, leave_out: bool) -> dict[str, _Compared]:
    compared: dict[str, _Compared] = {}
    for few in few_at_once(some):
        compared |= _compare_few({device_id: some[device_id] for device_id in few}, stores, fill=fill, leave_out=leave_out)
    return compared


def _compare_few(some: dict[str, State], stores: Stores, *, fill: bool, leave_out: bool) -> dict[str, _Compared]:
    held = {} if leave_out else stores.cache.read([*some])
    missing = some.keys() - held.keys()
    if missing and fill:  # a cache may forget at any time; then its readers get it filled from the database
        stores.refill(missing)
        held |= stores.cache.read([*missing])
    stored = stores.database.read([*some])
    held |= {device_id: stored[device_id] for device_id in stored if device_id not in held} if leave_out or fill else {}
    compared = {}
    for device_id, state in some.items():
        in_cache, in_database = held.get(device_id, NOTHING), stored.get(device_id, NOTHING)
        expected = join(join(state, in_cache), in_database)
        digest = _digest(device_id, expected)
        compared[device_id] = _Compared(
            digest,
            digest if in_cache == expected else _digest(device_id, in_cache),
            digest if in_database == expected else _digest(device_id, in_database),
        )
    return compared


def _digest(device_id: str, state: State) -> bytes:
    return hashlib.sha256(_canonical_json(view(device_id, state))).digest()
