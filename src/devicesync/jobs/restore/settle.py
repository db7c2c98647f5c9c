"""The second step: a bucket's devices into both stores, and the proof that both have them."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import msgspec

from devicesync.cache.port import Cache
from devicesync.database.port import Database
from devicesync.law.profile import view
from devicesync.law.state import NOTHING, State, join

_BATCH_DEVICES = 2000
_LOOK_AGAIN_SECONDS = (0.5, 2.0, 5.0)
_canonical_json = msgspec.json.Encoder(order="sorted").encode


class Settled(NamedTuple):
    """Of one bucket: how many devices it has, in how many each store differs from what is expected, and the digests of all.

    Expected is what the backup says joined with what the stores know besides, which may be newer. A digest is the SHA-256, in
    hex, of the documents of the bucket's devices (`get --json`), in order. Before a restore, what differs is what would change.
    """

    devices: int
    cache_differs: int
    database_differs: int
    expected: str
    cache: str
    database: str
    differing: list[str]


class _Compared(NamedTuple):
    expected: bytes
    cache: bytes
    database: bytes


def settle(states: Mapping[str, State], cache: Cache | None, database: Database, *, dry_run: bool) -> Settled:
    """Join the states into both stores, unless it is a dry run, and compare. Raises Unavailable; repeating is harmless.

    cache: None in a dry run where it lives in another process's memory, and is filled from the database.
    """
    digests = [hashlib.sha256() for _ in range(3)]
    cache_differs = database_differs = 0
    differing = []
    for some in _batches(states):
        stored = _write(some, cache, database) if cache and not dry_run else database.read([*some])
        for device_id, compared in _compare_patiently(some, stored, cache, database, dry_run=dry_run).items():
            for digest, document in zip(digests, compared, strict=True):
                digest.update(document)
            cache_differs += compared.cache != compared.expected
            database_differs += compared.database != compared.expected
            if len({*compared}) > 1:
                differing.append(device_id)
    expected, in_cache, in_database = (digest.hexdigest() for digest in digests)
    return Settled(len(states), cache_differs, database_differs, expected, in_cache, in_database, differing[:10])


def _write(some: dict[str, State], cache: Cache, database: Database) -> dict[str, State]:
    """Join these into both stores; what the database then holds.

    The database comes first, told of its own erases: what it forgot after gc_grace must not come back even for a moment.
    Read back once, it gives both what the cache is to be filled with, and the proof.
    """
    if database.reads_to_merge:
        cache.merge(database.merge(some), create=True)
        return database.read([*some])
    erased = {device_id: State(erased=version) for device_id, version in database.erased([*some]).items()}
    database.merge({device_id: join(state, erased.get(device_id, NOTHING)) for device_id, state in some.items()})
    stored = database.read([*some])
    merged = cache.merge(
        {device_id: join(stored.get(device_id, NOTHING), state) for device_id, state in some.items()}, create=True
    )
    unsaved = {device_id: merged.known[device_id] for device_id in merged.unsaved}
    news = {name: known for name, known in unsaved.items() if join(stored.get(name, NOTHING), known) != stored.get(name)}
    if news:
        database.merge(news)
        stored |= database.read([*news])
    if unsaved:
        cache.saved(unsaved)
    return stored


def _compare_patiently(
    some: dict[str, State], stored: dict[str, State], cache: Cache | None, database: Database, *, dry_run: bool
) -> dict[str, _Compared]:
    """A difference counts only when it is still there after a while: events may be arriving between the two readings."""
    compared = _compare(some, stored, cache, fill=not dry_run)
    for seconds in () if dry_run else _LOOK_AGAIN_SECONDS:
        differing = {device_id: some[device_id] for device_id, found in compared.items() if len({*found}) > 1}
        if not differing:
            break
        time.sleep(seconds)
        compared |= _compare(differing, database.read([*differing]), cache, fill=True)
    return compared


def _compare(some: dict[str, State], stored: dict[str, State], cache: Cache | None, *, fill: bool) -> dict[str, _Compared]:
    held = cache.read([*some]) if cache else stored
    if cache and fill:  # a cache may forget at any time; then its readers get it filled from the database
        missing = {device_id: stored[device_id] for device_id in some if device_id not in held and device_id in stored}
        if missing:
            cache.merge(missing, create=True)
            held |= missing | cache.read([*missing])
    compared = {}
    for device_id, state in some.items():
        in_cache, in_database = held.get(device_id, NOTHING), stored.get(device_id, NOTHING)
        expected = join(join(state, in_cache), in_database)
        document = _canonical_json(view(device_id, expected))
        compared[device_id] = _Compared(
            document,
            document if in_cache == expected else _canonical_json(view(device_id, in_cache)),
            document if in_database == expected else _canonical_json(view(device_id, in_database)),
        )
    return compared


def _batches(states: Mapping[str, State]) -> Iterator[dict[str, State]]:
    devices = iter(sorted(states))
    while some := [*islice(devices, _BATCH_DEVICES)]:
        yield {device_id: states[device_id] for device_id in some}
