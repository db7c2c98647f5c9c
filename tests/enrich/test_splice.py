"""Fields go into an event byte for byte: json agrees about what it then says, and nothing else of it changed."""

import json
import re
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicesync.enrich import splice
from devicesync.law.refusal import Refused

_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
_keys = st.sampled_from(["a", "b", "ets", "devicedata", "flags", "context", "did", "é", "\\", '"flags"'])
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3), max_leaves=6
)
_flags = st.none() | st.dictionaries(st.sampled_from(["device_denorm", "other", "é"]), _scalars, max_size=3)
_MEMBERS = b'"devicedata":{"city":"Mysuru"},"devicedata_version":7'


def _spliced(event: bytes, members: bytes, *, known: bool) -> bytes:
    return splice.spliced(event, splice.read(event), members, known=known)


def _escaped(text: str) -> str:
    """The same JSON with every letter of its keys as an escape."""
    return re.sub(
        r'"(flags|devicedata|device_denorm|context|did)"(?=\s*:)',
        lambda key: '"' + "".join(f"\\u{ord(c):04x}" for c in key[1]) + '"',
        text,
    )


@st.composite
def _events(draw: st.DrawFn) -> bytes:
    event: dict[str, Any] = draw(st.dictionaries(_keys, _values, max_size=5))
    event["context"] = {"did": "d1", **({"x": draw(_values)} if draw(st.booleans()) else {})}
    event.pop("flags", None)
    if draw(st.booleans()):
        event["flags"] = draw(_flags)
    items = draw(st.permutations(list(event.items())))
    separators = draw(st.sampled_from([(",", ":"), (" , ", " : "), (",\n", ":\t")]))
    text = json.dumps(dict(items), ensure_ascii=draw(st.booleans()), separators=separators)
    text = _escaped(text) if draw(st.booleans()) else text
    around = draw(st.sampled_from(["", " ", "\n", "\r\n"]))
    return (around + text + around).encode("utf-8", "surrogatepass")


@given(_events(), st.booleans())
def test_what_json_reads_is_the_event_with_our_fields(event: bytes, known: bool) -> None:  # noqa: FBT001
    assert splice.read(event).context.did == "d1"
    members = _MEMBERS if known else b""
    expected = json.loads(event) | json.loads(b"{%b}" % members)
    expected["flags"] = {**(expected.get("flags") or {}), "device_denorm": known}
    found = _spliced(event, members, known=known)
    assert json.loads(found) == expected
    assert _spliced(found, members, known=known) == found  # once more changes nothing


@given(_events())
def test_what_was_not_put_in_keeps_its_bytes(event: bytes) -> None:
    """An event without our fields is the beginning of the new one, but for its last brace."""
    members = json.loads(event)
    if members.keys() & {"flags", "devicedata"}:
        return
    close = event.rindex(b"}")
    found = _spliced(event, _MEMBERS, known=True)
    assert found.startswith(event[:close])
    assert found.endswith(event[close:])


def test_an_event_is_enriched_where_its_fields_stand() -> None:
    event = (
        b'{ "flags" : { "seen":1e5 } ,"devicedata":{"city":"Bengaluru"}, "context":{"did":"d1"}, "x":1.50 , "s":"\\u0915\\/" }\n'
    )
    assert _spliced(event, _MEMBERS, known=True) == (
        b'{ "flags" : { "seen":1e5 ,"device_denorm":true} ,"devicedata":{"city":"Mysuru"}, "context":{"did":"d1"}, "x":1.50 ,'
        b' "s":"\\u0915\\/" ,"devicedata_version":7}\n'
    )


_repeated = st.lists(st.tuples(_keys | st.just("devicedata_version"), _values), max_size=6)


@given(_repeated, st.sampled_from([(",", ":"), (" , ", "\t:\n")]), st.booleans())
def test_a_field_of_ours_stands_once(
    members: list[tuple[str, Any]],
    separators: tuple[str, str],
    escaped: bool,  # noqa: FBT001
) -> None:
    """Readers that take the last of a repeated key, and those that take the first, see the same then."""
    members = [("flags", None) if name == "flags" and not isinstance(value, dict) else (name, value) for name, value in members]
    comma, colon = separators
    pairs = [*members, ("context", {"did": "d1"})]
    text = f"{{ {comma.join(json.dumps(name) + colon + json.dumps(value) for name, value in pairs)} }}"
    event = (_escaped(text) if escaped else text).encode()
    expected = json.loads(event) | json.loads(b"{%b}" % _MEMBERS)
    expected["flags"] = {**(expected.get("flags") or {}), "device_denorm": True}
    found = _spliced(event, _MEMBERS, known=True)
    names: list[str] = [name for name, _ in json.loads(found, object_pairs_hook=lambda found: found)]
    ours = {"flags", "devicedata", "devicedata_version"}
    assert json.loads(found) == expected
    assert list(json.loads(found)) == list(expected)
    assert [name for name in names if name not in ours] == [name for name, _ in pairs if name not in ours]
    assert all(names.count(name) == 1 for name in ours)


def test_a_key_that_is_there_twice_says_one_thing() -> None:
    event = b'{"context":{"did":"d1"},"devicedata":1,"flags":{"a":1},"x":1.0 , "devicedat\\u0061":2,"flags":{"device_denorm":0,"b":2}}'
    found = _spliced(event, b'"devicedata":{}', known=False)
    assert found == b'{"context":{"did":"d1"},"devicedata":{},"flags":{"device_denorm":false,"b":2},"x":1.0}'


@pytest.mark.parametrize("name", ["devicedata", "devicedat\\u0061", "flags"])
def test_an_event_grows_once_however_often_it_repeats_a_field(name: str) -> None:
    event = ('{"context":{"did":"d1"}' + f',"{name}":{{}}' * 1000 + "}").encode()
    members = b'"devicedata":{"city":"%s"}' % (b"x" * 58_000)
    assert len(_spliced(event, members, known=True)) < len(event) + len(members) + 100


@pytest.mark.parametrize(
    ("event", "did"),
    [
        (b"{}", ""),
        (b'{"context":null}', ""),
        (b'{"context":[]}', ""),
        (b'{"context":{"did":17}}', ""),
        (b'{"context":{"did":1.5e3}}', ""),
        (b'{"context":{"did":null}}', ""),
        (b'{"context":{"did":["d"]}}', ""),
        (b'{"context":{"did":"17"}}', "17"),
        (b'{"context":{"did":"a"},"context":{}}', ""),
        (b'{"context":{"did":"a","did":"b"}}', "b"),
        (b'{"context":{"did":"d"},"cut":"\\ud83d"}', "d"),  # JavaScript cuts texts in the middle of an emoji
        (b'\xef\xbb\xbf{"context":{"did":"d"}}', "d"),
        (b'{"context":{"did":"d"},"n":%s}' % (b"1" * 9000), "d"),
    ],
)
def test_the_device_of_an_event(event: bytes, did: str) -> None:
    assert splice.read(event).context.did == did
    assert _spliced(event, b"", known=False).startswith(event.rstrip(b"}"))


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b"", "malformed_json"),
        (b"\x00", "malformed_json"),
        (b'{"context":{"did":"d"}', "malformed_json"),
        (b'{"context":{"did":"d"}}}', "malformed_json"),
        (b'{"context":{"did":"d"},"x":NaN}', "malformed_json"),
        (b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "malformed_json"),
        (b"[1]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b'{"x":"\xff"}', "wrong_encoding"),
        (b'{"\xed\xa0\x80":1}', "wrong_encoding"),
    ],
)
def test_what_is_no_event_is_refused(event: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        splice.read(event)
    assert refused.value.reason == reason


@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,\\u0a1e+-. \n', max_size=30).map(str.encode))
def test_any_bytes_are_read_as_json_reads_them(event: bytes) -> None:
    try:
        found: Any = json.loads(event.decode(), parse_constant=lambda word: pytest.skip("not JSON"))
    except ValueError:
        found = None
    try:
        splice.read(event)
    except Refused:
        assert not isinstance(found, dict)
    else:
        assert isinstance(found, dict)


@pytest.mark.parametrize("flags", [b"1", b'"x"', b"[]", b"true"])
def test_flags_that_are_no_object_are_not_overwritten(flags: bytes) -> None:
    with pytest.raises(Refused, match="invalid_field"):
        _spliced(b'{"context":{"did":"d"},"flags":%s}' % flags, b"", known=True)


def test_a_megabyte_goes_through() -> None:
    event = b'{"context":{"did":"d"},"x":"%s"}' % (b"x" * 1_000_000)
    assert _spliced(event, b"", known=True) == event[:-1] + b',"flags":{"device_denorm":true}}'


@pytest.mark.parametrize(
    "event", [b'{"context":{"did":"d"},"flags":null,%b}', b'{"context":{"did":"d"},"flags":{"device_denorm":0,%b}}']
)
def test_python_takes_no_step_for_each_of_many_fields(event: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [b"1", b'"\\"}"', b"[1, 2]", b'{"a":"]"}']
    event %= b" , ".join(b'"k%d" : %b' % (number, values[number % 4]) for number in range(5000))
    step = Mock(wraps=vars(splice)["_skimmed_at"])
    monkeypatch.setattr(splice, "_skimmed_at", step)
    assert json.loads(_spliced(event, b"", known=True))["flags"]["device_denorm"] is True
    assert step.call_count < 10
