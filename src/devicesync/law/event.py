"""The event: one registration or erase as the log carries it, decoded and checked (docs/law.md, "The event")."""

import operator
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from devicesync.law import exact_json, values, version
from devicesync.law.facets import FIELDS, MAP_FIELDS, Values
from devicesync.law.maps import MOST_ENTRIES, map_text
from devicesync.law.refusal import Refused

MAX_BYTES = 65_536
"""The largest event, without its line end."""

MAX_ID_BYTES = 256
NOBODY = "nobody\x1f"
"""No device has this id, for it has a control character. Who asks for it learns whether it may read."""

_BOM = b"\xef\xbb\xbf"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]").search


class Event(msgspec.Struct, frozen=True, gc=False):
    """A valid event in normal form.

    `version` is in µs; `api_last_updated_on` and `first_access` are in ms, 0 when absent. `values` is flat in the order
    of facets.FIELDS, a map field as its canonical JSON text and no value as None. An erase has only an id and a version.
    """

    device_id: str
    version: int
    erase: bool = False
    api_last_updated_on: int = 0
    first_access: int = 0
    values: Values = (None,) * len(FIELDS)


_NULL = msgspec.Raw(b"null")

# The ordinary shapes only: whatever is not read here is read again by _read_exactly, which alone refuses events.
_Wire = msgspec.defstruct(
    "_Wire",
    [
        ("device_id", str),
        ("erase", bool | None, None),
        ("version", int | None, None),
        ("api_last_updated_on", Any, None),
        ("first_access", Any, None),
        *((field, msgspec.Raw, _NULL) if field in MAP_FIELDS else (field, Any, None) for field in FIELDS),
    ],
    gc=False,
)
_wire_tuple = msgspec.structs.astuple
_read_ordinary = msgspec.json.Decoder(_Wire, float_hook=exact_json.Real).decode
_read_map = msgspec.json.Decoder(dict[str, str] | str).decode
# Few phones and browsers make up most maps. Long ones are not kept, so that the cache stays below some MB.
_KEPT_MAPS = 4096
_KEPT_MAP_BYTES = 1024
_MAP_SPOTS = tuple((FIELDS.index(field), field) for field in FIELDS if field in MAP_FIELDS)

_HEAD = ("device_id", "api_last_updated_on", "first_access")
_CANONICAL_ORDER = sorted((*_HEAD, *FIELDS))
_in_canonical_order = operator.itemgetter(*((*_HEAD, *FIELDS).index(name) for name in _CANONICAL_ORDER))
_Canonical = msgspec.defstruct(
    "_Canonical",
    [(name, msgspec.Raw | None if name in MAP_FIELDS else int | str | None, None) for name in _CANONICAL_ORDER],
    omit_defaults=True,
    gc=False,
)
_encode = msgspec.json.Encoder().encode


def decode(
    raw: bytes,
    *,
    taken_ms: int,
    logged_ms: int | None = None,
    max_clock_ahead_ms: int = version.DEFAULT_MAX_CLOCK_AHEAD_MS,
) -> Event:
    """Decode one record of the log.

    raw: the record's bytes, without a line end; a BOM at their beginning is skipped.
    taken_ms: when the log took the record, or when a line of a file was first read; versions are guarded against it.
    logged_ms: the record's own timestamp where the log keeps one, which gives a version to an event without any time.

    Raises Refused with the first reason that applies, in the order of refusal.REASONS.
    """
    raw = raw.removeprefix(_BOM)
    if len(raw) > MAX_BYTES:
        raise Refused("too_large", f"{len(raw)} bytes; at most {MAX_BYTES} are read")
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise Refused("wrong_encoding", f"not UTF-8 at byte {error.start}") from None
    device_id, erase, explicit, updated_on, first_access, *fields = _read(raw)
    if erase:
        if explicit is None:
            raise Refused("missing_version", "an erase needs its own version")
        version.guard(explicit, taken_ms=taken_ms, max_clock_ahead_ms=max_clock_ahead_ms)
        return Event(device_id, explicit, erase=True)
    if explicit is None:
        explicit = _derived_version(device_id, updated_on, first_access, fields, logged_ms)
    version.guard(explicit, taken_ms=taken_ms, max_clock_ahead_ms=max_clock_ahead_ms)
    return Event(device_id, explicit, False, updated_on, first_access, tuple(fields))  # noqa: FBT003 - keywords cost 0.2 µs


def canonical(event: Event) -> bytes:
    """The event's known fields, empty ones left out, as sorted compact UTF-8 JSON: what the derived version hashes."""
    return _canonical(event.device_id, event.api_last_updated_on, event.first_access, event.values)


def _canonical(device_id: str, updated_on: int, first_access: int, fields: Sequence[str | None]) -> bytes:
    everything: list[Any] = [device_id, updated_on or None, first_access or None, *fields]
    for spot, _ in _MAP_SPOTS:
        text = fields[spot]
        if text is not None:
            everything[len(_HEAD) + spot] = msgspec.Raw(text.encode())
    return _encode(_Canonical(*_in_canonical_order(everything)))


def _derived_version(
    device_id: str, updated_on: int, first_access: int, fields: Sequence[str | None], logged_ms: int | None
) -> int:
    at_ms = updated_on or logged_ms
    if not at_ms:
        raise Refused("missing_version", "no version, no api_last_updated_on, and the log gave no time of its own")
    return version.derived(at_ms, _canonical(device_id, updated_on, first_access, fields))


def _read(raw: bytes) -> Sequence[Any]:
    """The event's parts in normal form."""
    try:
        if exact_json.may_exceed_limits(raw):
            exact_json.check_limits(raw.decode())
        device_id, erase, explicit, updated_on, first_access, *fields = _wire_tuple(_read_ordinary(raw))
        check_id(device_id)
        if erase:
            return device_id, True, explicit, 0, 0
        _read_maps(fields)
        texts = [(value or None) if type(value) is str else value if value is None else _number_text(value) for value in fields]
    except (msgspec.MsgspecError, exact_json.MalformedJson, RecursionError):
        return _read_exactly(raw)
    updated_on = 0 if updated_on is None else values.time_ms("api_last_updated_on", updated_on)
    first_access = 0 if first_access is None else values.time_ms("first_access", first_access)
    return device_id, False, explicit, updated_on, first_access, *texts


def _number_text(value: Any) -> str:
    number = value.whole() if type(value) is exact_json.Real else value
    if type(number) is not int:
        raise exact_json.MalformedJson("it is no text")
    return str(number)


def _read_maps(fields: list[Any]) -> None:
    """Bring the map fields into normal form, in place. Raises what _read_ordinary raises, and Refused."""
    for spot, field in _MAP_SPOTS:
        raw = bytes(fields[spot])
        if raw == b"null":
            fields[spot] = None
        else:
            fields[spot] = _kept_map(field, raw) if len(raw) <= _KEPT_MAP_BYTES else _map(field, raw)


def _map(field: str, raw: bytes) -> str | None:
    value = _read_map(raw)
    is_ordinary = type(value) is dict and len(value) <= MOST_ENTRIES and "" not in value.values()
    return map_text(value) if is_ordinary else values.string_map(field, value)


_kept_map = lru_cache(_KEPT_MAPS)(_map)


def _read_exactly(raw: bytes) -> list[Any]:
    """The event's parts in normal form, by the slow and certain way."""
    try:
        document = exact_json.read(raw.decode())
    except exact_json.MalformedJson as error:
        raise Refused("malformed_json", str(error)) from None
    if not isinstance(document, dict):
        raise Refused("not_an_object", "JSON, but not an object")
    device_id = document.get("device_id")
    check_id(device_id)
    erase = values.flag("erase", document.get("erase"))
    explicit = values.version_number(document.get("version"))
    if erase:
        return [device_id, True, explicit, 0, 0]
    return [
        device_id,
        False,
        explicit,
        values.time_ms("api_last_updated_on", document.get("api_last_updated_on")),
        values.time_ms("first_access", document.get("first_access")),
        *((values.string_map if field in MAP_FIELDS else values.text)(field, document.get(field)) for field in FIELDS),
    ]


def check_id(device_id: Any) -> None:
    """Raise Refused unless this may be a device's id."""
    if device_id is None:
        raise Refused("missing_device_id", "no device_id")
    if type(device_id) is not str or not device_id:
        raise Refused("invalid_device_id", "device_id is empty or not a text")
    if _CONTROL(device_id):
        raise Refused("invalid_device_id", "device_id holds a control character")
    try:
        size = len(device_id) if device_id.isascii() else len(device_id.encode())
    except UnicodeEncodeError:
        raise Refused("invalid_device_id", "device_id holds a lone surrogate") from None
    if size > MAX_ID_BYTES:
        raise Refused("invalid_device_id", f"device_id has {size} bytes; at most {MAX_ID_BYTES} are read")
