"""Fields into a telemetry event, byte for byte: what was not put in or replaced keeps its bytes.

Numbers, escapes, white space and the order of keys stay as they came. An event is read once by msgspec, and only an event that
it can't read, or that holds one of our fields already, is read again by the slow and certain way.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from devicesync.law.refusal import Refused

_NAME, _FLAGS_NAME = b'"device_denorm"', b'"flags"'
_DENORM = {True: _NAME + b":true", False: _NAME + b":false"}
_FLAGS = {known: b',"flags":{%b}' % flag for known, flag in _DENORM.items()}
_BOM = b"\xef\xbb\xbf"
_ABSENT, _UNREAD = msgspec.Raw(b""), msgspec.Raw(b"?")
_STRING = r'"(?:[^"\\]++|\\.)*+"'
_FLAT = rf'[\[{{](?:[^"\[\]{{}}]++|{_STRING})*+[\]}}]'
_others = re.compile(rf'(?:[\s,]*+"(?!device|flags")[^"\\]*+"[\s:]*+(?:{_STRING}|{_FLAT}|[^\s",\[\]{{}}]++)){{1,1000}}')
"""Of a valid JSON object the next members of other names. One that is nested twice, or has an escape in its name, ends it."""
_comma, _colon = re.compile(r"[\s,]*+"), re.compile(r"[\s:]*+")


class _Context(msgspec.Struct, frozen=True, gc=False):
    did: str = ""


class Telemetry(msgspec.Struct, gc=False):
    """What was read of an event: the parts of it that enrichment looks at."""

    context: _Context = _Context()
    flags: msgspec.Raw = _ABSENT
    devicedata: msgspec.Raw = _ABSENT
    devicedata_version: msgspec.Raw = _ABSENT
    devicedata_age_ms: msgspec.Raw = _ABSENT
    devicedata_reason: msgspec.Raw = _ABSENT

    @property
    def is_plain(self) -> bool:
        """Whether it has nothing of what enrichment writes."""
        return self.flags is _ABSENT and self.has_no_devicedata

    @property
    def has_no_devicedata(self) -> bool:
        """Whether it has nothing of what enrichment writes but for flags."""
        return self.devicedata is self.devicedata_version is self.devicedata_age_ms is self.devicedata_reason is _ABSENT


_read = msgspec.json.Decoder(Telemetry).decode


def _not_json(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


class _Number(str):
    """A number's text: none loses a digit, and none is too long."""

    __slots__ = ()


_exactly = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_not_json)
_value_at = _exactly.raw_decode
_skimmed_at = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
"""For where a value ends."""


def read(event: bytes) -> Telemetry:
    """Read an event. `context.did` is "" where it has none, or one that is no text. Raises Refused for what is no JSON object."""
    try:
        if not event.isascii():
            event.decode()
        return _read(event)
    except UnicodeDecodeError as error:
        raise Refused("wrong_encoding", f"not UTF-8 at byte {error.start}") from None
    except (msgspec.DecodeError, RecursionError):
        return _read_exactly(event)


def spliced(event: bytes, telemetry: Telemetry, members: bytes, *, known: bool) -> bytes:
    """The event with these members, and with `flags.device_denorm`.

    telemetry: what `read` found in it.
    members: of a JSON object without its braces: b'"devicedata":{…},"devicedata_version":7'. One that the event has already
        gets the new value where it stands.
    Raises Refused where `flags` is something else than an object or null: the flag can't be put there without a loss.
    """
    if not telemetry.is_plain:
        return _flagged(event, telemetry, members, _DENORM[known]) or _spliced_exactly(event, members, _DENORM[known])
    close = event.rindex(b"}")
    return b"".join((event[:close], members and b",", members, _FLAGS[known], event[close:]))


def _flagged(event: bytes, telemetry: Telemetry, members: bytes, denorm: bytes) -> bytes:
    """An event that has flags and nothing else of ours; b"" where their place is not certain.

    The name stands in it once and no letter of it is escaped: so what was read is what stands there.
    """
    flags = bytes(telemetry.flags)
    if not flags.startswith(b"{") or not telemetry.has_no_devicedata or _NAME in flags:
        return b""
    name = event.index(_FLAGS_NAME) if b"\\" not in event or b"\\u00" not in event else -1
    if name < 0 or event.find(_FLAGS_NAME, name + 1) >= 0:
        return b""
    inside = event.index(flags, event.index(b":", name)) + len(flags) - 1
    close = event.rindex(b"}")
    comma = b"," if flags[1:-1].strip() else b""
    return b"".join((event[:inside], comma, denorm, event[inside:close], members and b",", members, event[close:]))


def _spliced_exactly(event: bytes, members: bytes, denorm: bytes) -> bytes:
    bom, text = _text(event)
    new = _values(f"{{{members.decode()}}}") | {"flags": "{}"}
    places = [place for place in _places(text) if place.name in new]
    flags = next((text[place.start : place.end] for place in reversed(places) if place.name == "flags"), "null")
    if flags == "null":
        flags = "{}"
    if not flags.startswith("{"):
        raise Refused("invalid_field", "flags is no object")
    new["flags"] = _with_members(flags, _places(flags), _values(f"{{{denorm.decode()}}}"))
    return bom + _with_members(text, places, new).encode()


def _text(event: bytes) -> tuple[bytes, str]:
    bom = event[: len(_BOM)] if event.startswith(_BOM) else b""
    return bom, event[len(bom) :].decode()


def _read_exactly(event: bytes) -> Telemetry:
    """As json has it: other types of what we look at, and lone surrogates, for which msgspec refuses a text."""
    try:
        found = _exactly.decode(_text(event)[1])
    except (ValueError, RecursionError) as error:
        raise Refused("malformed_json", str(error) or "nested too deep") from None
    if not isinstance(found, dict):
        raise Refused("not_an_object", "the event is JSON, but no object")
    context = found.get("context")
    did = context.get("did") if isinstance(context, dict) else None
    return Telemetry(_Context(did if isinstance(did, str) and not isinstance(did, _Number) else ""), _UNREAD)


class _Place(NamedTuple):
    """Where a member of a JSON object stands. before: where what precedes it ends, its comma not counted."""

    name: str
    before: int
    start: int
    end: int


def _places(text: str) -> Iterator[_Place]:
    """Of a JSON object's members those that may be ours. Python takes no step for most of the others: it would be slow."""
    before = text.index("{") + 1
    while True:
        while others := _others.match(text, before):
            before = others.end()
        at = _after(_comma, text, before)
        if text[at] == "}":
            return
        name, at = _value_at(text, at)
        start = _after(_colon, text, at)
        _, end = _skimmed_at(text, start)
        yield _Place(name, before, start, end)
        before = end


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _values(text: str) -> dict[str, str]:
    return {name: text[start:end] for name, _, start, end in _places(text)}


def _with_members(text: str, places: Iterable[_Place], members: Mapping[str, str]) -> str:
    """The JSON object with these members. One that is there several times stands once then, in the first place.

    A reader that takes the last one, as most do, sees nothing else in another order or of another value.
    """
    parts: list[str] = []
    done = 0
    missing = dict(members)
    for name, before, start, end in places:
        if name in members:
            parts += (text[done:start], missing.pop(name)) if name in missing else (text[done:before],)
            done = end
    close = text.rindex("}")
    is_empty = not text[text.index("{") + 1 : close].strip()
    new = ",".join(f'"{name}":{value}' for name, value in missing.items())
    comma = "," if new and not is_empty else ""
    return "".join((*parts, text[done:close], comma, new, text[close:]))
