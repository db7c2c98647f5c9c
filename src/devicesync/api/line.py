"""From a registration to a line of device-profile.log. The law accepts every line that is made here."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from devicesync.api.answers import RequestError
from devicesync.api.location import Location
from devicesync.api.registration import DeclaredLocation, LeftOut, Registration
from devicesync.law.event import MAX_BYTES
from devicesync.law.maps import MOST_ENTRIES

OLDEST_FIRST_ACCESS_MS = 946_684_800_000
"""2000-01-01: a first_access before it was meant in seconds."""

_MAX_CHARACTERS = 128
_MAX_LEVELS = 8
_WORDS = {None: "null", True: "true", False: "false"}
_NOTHING_DECLARED = DeclaredLocation()


class _Line(msgspec.Struct):
    """A line: first the fields of the existing service, then the new ones."""

    device_id: str
    uaspec: dict[str, str]
    city: str
    country_code: str
    country: str
    api_last_updated_on: int
    device_spec: dict[str, str]
    district_custom: str
    fcm_token: str
    first_access: int
    state_code_custom: str
    state: str
    state_code: str
    state_custom: str
    producer_id: str
    user_declared_state: str | UnsetType
    user_declared_district: str | UnsetType
    version: int


_encode = msgspec.json.Encoder().encode


def line_of(
    device_id: str,
    registration: Registration,
    *,
    location: Location,
    agent: dict[str, str],
    version: int,
    left_out: LeftOut,
) -> bytes:
    """Return the line. Raises RequestError where it is too large.

    version: in µs; api_last_updated_on is its ms. device_id: checked by the law. location, agent: texts that are UTF-8.
    """
    now_ms = version // 1000
    declared = registration.userDeclaredLocation or _NOTHING_DECLARED
    line = _encode(
        _Line(
            device_id,
            agent,
            location.city,
            location.country_code,
            location.country,
            now_ms,
            _spec(registration.dspec, left_out) if registration.dspec else {},
            location.district_custom,
            _text("fcmToken", registration.fcmToken, left_out),
            _first_access(registration.first_access, now_ms, left_out),
            location.state_code_custom,
            location.state,
            location.state_code,
            location.state_custom,
            _name("producer", registration.producer, left_out),
            _name("state", declared.state, left_out) or UNSET,
            _name("district", declared.district, left_out) or UNSET,
            version,
        )
    )
    if len(line) > MAX_BYTES:
        raise RequestError(413, "TOO_LARGE", f"the registration may have {MAX_BYTES} bytes at most")
    return line


def _first_access(said: Any, now_ms: int, left_out: LeftOut) -> int:
    """The client's time where it is plausible, else now. The law keeps the smaller one, so now never replaces an older one."""
    if type(said) is int and OLDEST_FIRST_ACCESS_MS <= said <= now_ms:
        return said
    if said:
        left_out("first_access")
    return now_ms


def _spec(said: dict[str, Any], left_out: LeftOut) -> dict[str, str]:
    spec = {}
    for key, value in said.items():
        name, text = _text("dspec", key, left_out), _text("dspec", value, left_out)
        if text and (name or not key):
            spec[name] = text
    if len(spec) > MOST_ENTRIES:
        left_out("dspec")
        return {}
    return spec


def _name(field: str, said: Any, left_out: LeftOut) -> str:
    """A short text that a person can read."""
    text = _text(field, said, left_out)
    if text and (len(text) > _MAX_CHARACTERS or not text.isprintable() or "<" in text or ">" in text):
        left_out(field)
        return ""
    return text


def _text(field: str, said: Any, left_out: LeftOut) -> str:
    """Any value as UTF-8 text; "" for none."""
    if said is None:
        return ""
    try:
        text = said if type(said) is str else _as_text(said)
        if not text.isascii():
            text.encode()
    except (UnicodeEncodeError, RecursionError):  # a lone surrogate; nested too deep
        left_out(field)
        return ""
    return text


def _as_text(value: Any, levels: int = _MAX_LEVELS) -> str:
    """Any JSON value as text, as the existing service (in Scala) logs it. Raises RecursionError for very deep nesting."""
    if not levels:
        raise RecursionError
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is list:
        return f"List({', '.join([_as_text(item, levels - 1) for item in value])})"
    if kind is dict:
        return f"Map({', '.join([f'{key} -> {_as_text(item, levels - 1)}' for key, item in value.items()])})"
    return _WORDS[value] if value is None or kind is bool else str(value)
