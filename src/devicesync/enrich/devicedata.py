"""What an event gets of its device's profile: `devicedata`, with the names and types that readers of telemetry know.

A field that is missing reads as "", and as {} and 0 where it is a map or a time. `iso3166statecode` is there with both codes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

FIELDS = {
    "country_code": "countrycode",
    "country": "country",
    "state_code": "statecode",
    "state": "state",
    "city": "city",
    "state_code_custom": "statecustomcode",
    "state_custom": "statecustomname",
    "district_custom": "districtcustom",
    "devicespec": "devicespec",
    "firstaccess": "firstaccess",
    "user_declared_state": "",
    "user_declared_district": "",
    "api_last_updated_on": "",
    "version": "",
}
"""Fields of the device's hash (docs/reading-the-cache.md), each with its name in devicedata; "" where it is part of another."""

_DIGITS = 18
"""Of a number that JSON's writer takes; versions have 16."""

_NAMES = tuple(FIELDS.values())
_encode = msgspec.json.Encoder().encode
_read_map = msgspec.json.Decoder(dict[str, Any]).decode


def members(values: Sequence[bytes | None], *, stamped: bool) -> tuple[bytes, int]:
    """What goes into the event, as members of a JSON object, and the profile's version in µs.

    values: of FIELDS, in their order. stamped: with `devicedata_version`. An unknown or erased device, and a hash that others
    left without its time, give b"" and 0.
    """
    *texts, spec, first_access, state, district, updated_on, version_text = values
    if not updated_on:
        return b"", 0
    data: dict[str, Any] = {name: _text(value) for name, value in zip(_NAMES, texts, strict=False)}
    if data["countrycode"] and data["statecode"]:
        data["iso3166statecode"] = f"{data['countrycode']}-{data['statecode']}"
    data["devicespec"] = _map(spec)
    data["firstaccess"] = _number(first_access)
    data["userdeclared"] = {"state": _text(state), "district": _text(district)}
    version = _number(version_text)
    stamp = b',"devicedata_version":%d' % version if stamped and version else b""
    return b'"devicedata":%b%b' % (_encode(data), stamp), version


def values_of(profile: Mapping[str, Any] | None, version: int) -> list[bytes | None]:
    """The values of FIELDS of a profile as the law has it (law/profile.py)."""
    if profile is None:
        return [None] * len(FIELDS)
    found = {
        **profile,
        "devicespec": profile.get("device_spec"),
        "firstaccess": profile.get("first_access"),
        "version": version,
    }
    return [None if (value := found.get(name)) is None else _bytes(value) for name in FIELDS]


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else _encode(value)


def _text(value: bytes | None) -> str:
    return value.decode(errors="replace") if value else ""


def _number(value: bytes | None) -> int:
    return int(value) if value and value.isdigit() and len(value) <= _DIGITS else 0


def _map(value: bytes | None) -> dict[str, Any]:
    """The map; {} for a text that somebody else wrote and that holds none."""
    try:
        return _read_map(value) if value else {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
