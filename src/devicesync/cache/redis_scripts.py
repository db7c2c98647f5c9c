"""The scripts that run in the server: each after a head made from law/facets.py."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources

import msgspec

from devicesync.law.event import MAX_BYTES, MAX_ID_BYTES
from devicesync.law.facets import DECLARED, FACETS, FIELDS, MAP_FIELDS, SLICES
from devicesync.law.maps import LONGEST_UNITED, MOST_ENTRIES
from devicesync.law.state import State

_BYTES_PER_CALL = MOST_UNITED_BYTES = 256 << 10
LATER = "later"
"""What merge.lua and read.lua reply of a device that needs a call of its own."""

LONGEST_STATE = 1024
"""Bytes of a `_state`; ours have a fifth of it."""

_LARGEST_UNION = 2 * MOST_ENTRIES * (LONGEST_UNITED + len('"":')) + 1  # one comma less than entries, and two braces
_LONGEST = [_LARGEST_UNION if field in MAP_FIELDS else MAX_BYTES for field in FIELDS]
"""Bytes of each field's value: events can make no more, ties among them."""

_MOST_READ_BYTES = 1 << 20
_STEPS_OF_SCAN = 100

HASH_NAMES = {"device_spec": "devicespec", "producer_id": "producer"}
"""Event fields whose hash field has another name; times are `firstaccess`, `user_declared_on`, `api_last_updated_on`."""

NAMES = (
    *("_state", "version", "api_last_updated_on", "firstaccess", "user_declared_on"),
    *(HASH_NAMES.get(field, field) for field in FIELDS),
)
"""The fields of a hash that are ours, `_state` first."""


def _lua(items: Sequence[str | int]) -> str:
    return "{" + ", ".join(map(str, items)) + "}"


_HEAD = f"""\
local FACETS, DECLARED = {len(FACETS)}, {DECLARED + 1} -- how many there are, and which is user_declared
local LONGEST_STATE = {LONGEST_STATE}
local FIELDS = {_lua([f"'{HASH_NAMES.get(field, field)}'" for field in FIELDS])}
local FROM = {_lua([where.start + 1 for where in SLICES])} -- of each facet its places in FIELDS
local TO = {_lua([where.stop for where in SLICES])}
local LONGEST = {_lua(_LONGEST)} -- bytes of a value of each field
local IS_MAP = {_lua([f"[{spot}] = true" for spot, field in enumerate(FIELDS, 1) if field in MAP_FIELDS])}
local MOST_ENTRIES, LONGEST_UNITED = {MOST_ENTRIES}, {LONGEST_UNITED} -- of a union: how many, and bytes of a key or a value
local MOST_UNITED_BYTES = {MOST_UNITED_BYTES} -- in one call of several devices
local LATER = '{LATER}' -- what the others are answered
"""

_READ_HEAD = f"""\
local NAMES = {_lua([f"'{name}'" for name in NAMES])}
local LONGEST = {_lua([LONGEST_STATE] * (len(NAMES) - len(FIELDS)) + _LONGEST)} -- bytes of a value of each
local MOST_READ_BYTES, LATER = {_MOST_READ_BYTES}, '{LATER}' -- in one call before its last hash, and what the others are answered
"""

_SCAN_HEAD = f"local MAX_ID_BYTES, STEPS, MOST_READ_BYTES = {MAX_ID_BYTES}, {_STEPS_OF_SCAN}, {_MOST_READ_BYTES}\n"

_FILES = resources.files("devicesync.cache")
LOOK, MERGE, EXPIRING = (
    _HEAD + "".join(_FILES.joinpath(name).read_text() for name in ("state.lua", script))
    for script in ("look.lua", "merge.lua", "expiring.lua")
)
READ = _READ_HEAD + _FILES.joinpath("read.lua").read_text()
SCAN = _SCAN_HEAD + _FILES.joinpath("scan.lua").read_text()
"""What Redis is told."""

_pack = msgspec.msgpack.Encoder().encode


def packed(state: State, ticket: str, shown: str, *mark: str) -> bytes:
    """What merge.lua takes of a device."""
    flat: list[int | str | None] = [*state[:5]]
    for version, values in state.registers:
        flat.append(version)
        flat += values
    flat += ticket, shown, *mark
    return _pack(flat)


def by_bytes(ids: list[str], arguments: Mapping[str, bytes | None]) -> Iterator[list[str]]:
    """The devices cut so that no script call gets more than some bytes: it keeps the server from its readers."""
    group: list[str] = []
    size = 0
    for device_id in ids:
        size += len(arguments[device_id] or b"")
        if group and size > _BYTES_PER_CALL:
            yield group
            group, size = [], len(arguments[device_id] or b"")
        group.append(device_id)
    yield group
