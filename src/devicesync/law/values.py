"""Reading one field's value, alike for every reader (docs/law.md, "Reading values").

Each function takes a value as `exact_json.read` gives it and returns the normal form, or raises Refused with
`invalid_field`. The detail names the field and the kind of value, never the value: it may be personal.
"""

import re
from typing import Any

from devicesync.law import exact_json
from devicesync.law.maps import MOST_BYTES, MOST_ENTRIES, map_text
from devicesync.law.refusal import Refused

TIME_LIMIT_MS = 2**53
"""Times are whole ms in [0, 2^53): what every JSON reader holds exactly."""

_TIME_DIGITS = 16
_ASCII_DIGITS = re.compile(r"[0-9]+")
# Unclosed quotes run to the end, so that hostile input is scanned once; what comes of them is never an object.
_QUOTED = re.compile(
    r"""  "(?:[^"\\]|\\.)*"?                                                  # a JSON string stays as it is
      |  '((?:[^'\\]|\\.|'(?![\ \t\r\n]*[,:}]))*)(?:'(?=[\ \t\r\n]*[,:}]))?  # a ' closes only before , : or }
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE_OR_QUOTE = re.compile(r'\\.|"', re.DOTALL)


def text(field: str, value: Any) -> str | None:
    """A text field: a non-empty string, the decimal text of a whole number, or None for no value."""
    if value is None or value in ("", {}):
        return None
    if type(value) is str:
        return _checked_utf8(field, value)
    return _whole_number_text(field, value)


def string_map(field: str, value: Any) -> str | None:
    """A map field, also given as text holding JSON or single-quoted pseudo-JSON; its canonical JSON text, or None."""
    if type(value) is str and value:
        value = _embedded(field, value)
    if value is None or value in ("", {}):
        return None
    if not isinstance(value, dict):
        raise Refused("invalid_field", f"{field} is {_kind(value)} where a map belongs")
    entries: dict[str, str] = {}
    bytes_left = MOST_BYTES
    for key, entry in value.items():
        taken = _entry(field, entry)
        bytes_left -= len(_checked_utf8(field, key).encode()) + len((taken or "").encode())
        if bytes_left < 0:  # at once: a thousand digits each take as long as the whole event else
            raise Refused("invalid_field", f"{field} stands for more than {MOST_BYTES:,} bytes")
        if taken:
            entries[key] = taken
    if len(entries) > MOST_ENTRIES:
        raise Refused("invalid_field", f"{field} has more than {MOST_ENTRIES} entries")
    return map_text(entries)


def time_ms(field: str, value: Any) -> int:
    """A time in whole ms below 2^53; 0 for no value."""
    if value is None or value == "":
        return 0
    number = value
    if isinstance(value, exact_json.Real):
        number = value.whole()
    elif type(value) is str:
        number = _digits(value)
    if type(number) is not int or not 0 <= number < TIME_LIMIT_MS:
        raise Refused("invalid_field", f"{field} is {_kind(value)}, not a time in ms")
    return number


def version_number(value: Any) -> int | None:
    """An explicit version in µs: a JSON integer, or None when absent."""
    if value is None or value == "":
        return None
    if type(value) is not int:
        raise Refused("invalid_field", f"version is {_kind(value)}, not an integer")
    return value


def flag(field: str, value: Any) -> bool:
    """A JSON true or false; null counts as false."""
    if value is None or value is False or value is True:
        return bool(value)
    raise Refused("invalid_field", f"{field} is {_kind(value)}, not true or false")


def _entry(field: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if type(value) is str:
        return _checked_utf8(field, value)
    return _whole_number_text(field, value)


def _whole_number_text(field: str, value: Any) -> str:
    number = value.whole() if isinstance(value, exact_json.Real) else value
    if type(number) is not int:
        raise Refused("invalid_field", f"{field} holds {_kind(value)} where a text belongs")
    return str(number)


def _embedded(field: str, value: str) -> Any:
    try:
        return exact_json.read(value)
    except exact_json.MalformedJson:
        pass
    try:
        return exact_json.read(_QUOTED.sub(_as_json_string, value))
    except exact_json.MalformedJson:
        raise Refused("invalid_field", f"{field} is a text that holds no JSON object") from None


def _as_json_string(found: re.Match[str]) -> str:
    inside: str | None = found[1]
    return found[0] if inside is None else '"' + _ESCAPE_OR_QUOTE.sub(_requote, inside) + '"'


def _requote(found: re.Match[str]) -> str:
    return {"\\'": "'", '"': '\\"'}.get(found[0], found[0])


def _digits(value: str) -> int | None:
    if not _ASCII_DIGITS.fullmatch(value):
        return None
    significant = value.lstrip("0")
    return int(significant or 0) if len(significant) <= _TIME_DIGITS else None


def _checked_utf8(field: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused("invalid_field", f"{field} holds a lone surrogate") from None
    return value


def _kind(value: Any) -> str:
    if isinstance(value, exact_json.Real) or (type(value) is int):
        return "a number"
    names: dict[type, str] = {bool: "a boolean", str: "a text", list: "a list", dict: "an object"}
    return names[type(value)]
