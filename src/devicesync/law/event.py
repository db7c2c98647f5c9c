"""The event: one registration or erase as the log carries it, decoded and checked (design.md section 2)."""

import re
from typing import Any

import msgspec

from devicesync.law import exact_json, values, version
from devicesync.law.facets import FIELDS, MAP_FIELDS, SLICES
from devicesync.law.refusal import Refused

MAX_BYTES = 65_536
"""The largest event, without its line end."""

MAX_ID_BYTES = 256

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]").search

Values = tuple[str | None, ...]


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


_Text = str | int | None
_Map = dict[str, str | int | None] | str | None
_Time = int | str | None

# The ordinary shapes only: whatever msgspec refuses here is read again by _read_exactly, which alone refuses events.
_Wire = msgspec.defstruct(
    "_Wire",
    [
        ("device_id", str),
        ("erase", bool | None, None),
        ("version", int | None, None),
        ("api_last_updated_on", _Time, None),
        ("first_access", _Time, None),
        *((field, _Map if field in MAP_FIELDS else _Text, None) for field in FIELDS),
    ],
    gc=False,
)
_HEAD = 5
_wire_tuple = msgspec.structs.astuple
_read_ordinary = msgspec.json.Decoder(_Wire).decode
_MAP_SPOTS = tuple(FIELDS.index(field) for field in FIELDS if field in MAP_FIELDS)

_Canonical = msgspec.defstruct(
    "_Canonical",
    [
        (name, msgspec.Raw if name in MAP_FIELDS else int | str, None)
        for name in sorted(("device_id", "api_last_updated_on", "first_access", *FIELDS))
    ],
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

    raw: the record's bytes, without a line end.
    taken_ms: when the log took the record, or when a line of a file was first read; versions are guarded against it.
    logged_ms: the record's own timestamp where the log keeps one, which gives a version to an event without any time.

    Raises Refused with the first reason that applies, in the order of refusal.REASONS.
    """
    if len(raw) > MAX_BYTES:
        raise Refused("too_large", f"{len(raw)} bytes; at most {MAX_BYTES} are read")
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise Refused("wrong_encoding", f"not UTF-8 at byte {error.start}") from None
    try:
        if exact_json.may_exceed_limits(raw):
            exact_json.check_limits(raw.decode())
        device_id, erase, explicit, api_last_updated_on, first_access, *fields = _wire_tuple(_read_ordinary(raw))
    except (msgspec.MsgspecError, exact_json.MalformedJson, RecursionError):
        device_id, erase, explicit, api_last_updated_on, first_access, *fields = _read_exactly(raw)
    _check_id(device_id)
    if erase:
        if explicit is None:
            raise Refused("missing_version", "an erase needs its own version")
        version.guard(explicit, taken_ms=taken_ms, max_clock_ahead_ms=max_clock_ahead_ms)
        return Event(device_id, explicit, True)
    event = Event(
        device_id,
        explicit or 0,
        False,
        values.time_ms("api_last_updated_on", api_last_updated_on) if api_last_updated_on else 0,
        values.time_ms("first_access", first_access) if first_access else 0,
        _normal(fields),
    )
    if explicit is None:
        event = _with_version(event, logged_ms)
    version.guard(event.version, taken_ms=taken_ms, max_clock_ahead_ms=max_clock_ahead_ms)
    return event


def canonical(event: Event) -> bytes:
    """The event's known fields, empty ones left out, as sorted compact UTF-8 JSON: what the derived version hashes."""
    fields: dict[str, Any] = {
        field: msgspec.Raw(value.encode()) if field in MAP_FIELDS else value
        for field, value in zip(FIELDS, event.values, strict=True)
        if value is not None
    }
    return _encode(
        _Canonical(
            device_id=event.device_id,
            api_last_updated_on=event.api_last_updated_on or None,
            first_access=event.first_access or None,
            **fields,
        )
    )


def facet_values(event: Event) -> list[Values | None]:
    """Per facet the event's values, or None where the event has none of the facet's fields and so leaves it untouched."""
    everything = event.values
    return [part if any(part := everything[where]) else None for where in SLICES]


def _with_version(event: Event, logged_ms: int | None) -> Event:
    at_ms = event.api_last_updated_on or logged_ms
    if not at_ms:
        raise Refused("missing_version", "no version, no api_last_updated_on, and the log gave no time of its own")
    return Event(
        event.device_id,
        version.derived(at_ms, canonical(event)),
        False,
        event.api_last_updated_on,
        event.first_access,
        event.values,
    )


def _normal(fields: list[Any]) -> Values:
    for spot in _MAP_SPOTS:
        if fields[spot] is not None:
            fields[spot] = _map_text(spot, fields[spot])
    return tuple([(value if type(value) is str else str(value)) if value or value == 0 else None for value in fields])


def _map_text(spot: int, entries: Any) -> str | None:
    if type(entries) is not dict:
        return values.string_map(FIELDS[spot], entries)
    return values.map_text(
        {key: value if type(value) is str else str(value) for key, value in entries.items() if value or value == 0}
    )


def _read_exactly(raw: bytes) -> list[Any]:
    try:
        document = exact_json.read(raw.decode())
    except exact_json.MalformedJson as error:
        raise Refused("malformed_json", str(error)) from None
    if not isinstance(document, dict):
        raise Refused("not_an_object", "JSON, but not an object")
    device_id = document.get("device_id")
    _check_id(device_id)
    erase = values.flag("erase", document.get("erase"))
    explicit = values.version_number(document.get("version"))
    if erase:
        return [device_id, True, explicit, None, None]
    return [
        device_id,
        False,
        explicit,
        *(values.time_ms(field, document.get(field)) for field in ("api_last_updated_on", "first_access")),
        *(_read_field(field, document.get(field)) for field in FIELDS),
    ]


def _read_field(field: str, value: Any) -> str | None:
    return values.string_map(field, value) if field in MAP_FIELDS else values.text(field, value)


def _check_id(device_id: Any) -> None:
    if device_id is None:
        raise Refused("missing_device_id", "no device_id")
    if type(device_id) is not str or not device_id:
        raise Refused("invalid_device_id", "device_id is empty or not a text")
    if _CONTROL(device_id):
        raise Refused("invalid_device_id", "device_id holds a control character")
    try:
        size = len(device_id.encode())
    except UnicodeEncodeError:
        raise Refused("invalid_device_id", "device_id holds a lone surrogate") from None
    if size > MAX_ID_BYTES:
        raise Refused("invalid_device_id", f"device_id has {size} bytes; at most {MAX_ID_BYTES} are read")
