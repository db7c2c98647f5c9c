"""Every form of the event that is accepted, and every reason for which one is refused, with the exact bytes."""

import json
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from devicesync.law import event as event_module
from devicesync.law.event import MAX_BYTES, Event, canonical, decode
from devicesync.law.facets import FIELDS
from devicesync.law.refusal import REASONS, Reason, Refused

NOW_MS = 1_700_000_000_000
V = b"1600000000000000"
SEED = {
    "device_id": "232455",
    "uaspec": {"agent": "Chrome", "system": "Linux", "ver": "68.0.3440.75", "raw": "Mozilla/5.0 (X11; Linux x86_64)"},
    "city": "Bengaluru",
    "country_code": "IN",
    "country": "India",
    "api_last_updated_on": 1566383863167,
    "device_spec": {"os": "Android 6.0", "make": "Motorola XT1706"},
    "district_custom": "",
    "fcm_token": "asda",
    "first_access": 1565328282703,
    "state_code_custom": "29",
    "state": "Karnataka",
    "state_code": "KA",
    "state_custom": "Karnataka",
    "producer_id": "dev.sunbird.portal",
}


def field(event: Event, name: str) -> Any:
    return event.values[FIELDS.index(name)]


def read(**fields: Any) -> Event:
    return decode(json.dumps({"device_id": "d", "version": 1600000000000000} | fields).encode(), taken_ms=NOW_MS)


def refusal(raw: bytes, **options: Any) -> tuple[Reason, str]:
    with pytest.raises(Refused) as refused:
        decode(raw, taken_ms=NOW_MS, **options)
    return refused.value.reason, refused.value.detail


def test_the_seed() -> None:
    """The seed's event: known fields kept, empty ones absent, and a version from its ms and its canonical form."""
    event = decode(json.dumps(SEED).encode(), taken_ms=NOW_MS)
    assert event.version == 1566383863167 * 1000 + zlib.crc32(canonical(event)) % 1000
    assert (field(event, "city"), field(event, "district_custom")) == ("Bengaluru", None)
    assert field(event, "device_spec") == '{"make":"Motorola XT1706","os":"Android 6.0"}'
    assert json.loads(canonical(event)) == {name: value for name, value in SEED.items() if value}


def test_the_derived_version_does_not_depend_on_spelling() -> None:
    """Key order, spacing, escapes, empty and unknown fields, and legacy forms do not count; content does."""
    spellings = [
        json.dumps(SEED),
        json.dumps(dict(reversed(SEED.items())), indent=1),
        json.dumps(SEED | {"unknown": [1], "fcm_token": "asda", "state_code_custom": 29.0}),
        json.dumps(SEED | {"device_spec": "{'os':'Android 6.0','make':'Motorola XT1706'}", "first_access": "1565328282703"}),
        json.dumps(SEED).replace("Bengaluru", "\\u0042engaluru"),
    ]
    assert len({decode(text.encode(), taken_ms=NOW_MS).version for text in spellings}) == 1
    other = decode(json.dumps(SEED | {"city": "Agra"}).encode(), taken_ms=NOW_MS)
    assert other.version != decode(spellings[0].encode(), taken_ms=NOW_MS).version


def test_the_log_time_gives_a_version_to_an_event_without_one() -> None:
    """Where the log keeps a timestamp; without one the event is refused."""
    event = decode(b'{"device_id":"d","city":"Pune"}', taken_ms=NOW_MS, logged_ms=NOW_MS)
    assert event.version // 1000 == NOW_MS
    assert event.api_last_updated_on == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("29", "29"), (29, "29"), (29.0, "29"), (-0.0, "0"), (0, "0"), (-7, "-7"), ("", None), (None, None), ({}, None),
        (" x ", " x "), ("é", "é"), ("e\u0301", "e\u0301"), (10**99, "1" + "0" * 99), ("\u0000", "\u0000"),
    ],
)  # fmt: skip
def test_text_fields(value: Any, text: str | None) -> None:
    """Strings as they are, whole numbers as decimal text; empty is absent."""
    assert field(read(state_code_custom=value), "state_code_custom") == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"2.9e1", "29"), (b"290e-1", "29"), (b"1e2", "100"), (b"1E+2", "100"), (b"0e5", "0"), (b"29.000000000000000000000", "29"), (b"-29.0", "-29"), (b"12345678901234567890.0", "12345678901234567890")],
)  # fmt: skip
def test_whole_numbers_are_exact_however_they_are_written(raw: bytes, text: str) -> None:
    """No float comes in between."""
    event = decode(b'{"device_id":"d","version":' + V + b',"city":' + raw + b"}", taken_ms=NOW_MS)
    assert field(event, "city") == text


@pytest.mark.parametrize(
    "raw", [b"1.5", b"true", b"false", b"[]", b'["x"]', b'{"a":1}', b"29.00000000000000000000001", b"1e-1", b"1e1001", b'"\\ud800"', b'"\\udc00x"', b'"\\ud800\\u0041"']
)  # fmt: skip
def test_invalid_text_fields(raw: bytes) -> None:
    """Fractions, booleans, lists, objects and lone surrogates, with the field's name and without its value."""
    reason, detail = refusal(b'{"device_id":"d","version":' + V + b',"city":' + raw + b"}")
    assert (reason, detail.split()[0]) == ("invalid_field", "city")


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        ({"os": "9", "n": 7, "w": 7.0, "x": "", "y": None, "": "k"}, {"os": "9", "n": "7", "w": "7", "": "k"}),
        ("", None), ({}, None), (None, None), ("{}", None), ({"a": ""}, None), ("null", None), ("{'a':''}", None),
        ('{"os":"9"}', {"os": "9"}),
        ('{"os":"9","os":"10"}', {"os": "10"}),
        ("{'os':'Android 6.0','make':'Motorola XT1706'}", {"os": "Android 6.0", "make": "Motorola XT1706"}),
        ("{'os' : 'Android 6.0' , 'make' : 7.0}", {"os": "Android 6.0", "make": "7"}),
        ("{'a':'it's'}", {"a": "it's"}),
        ("{'a':'it\\'s, he said'}", {"a": "it's, he said"}),
        ("{'a':'say \"x\"'}", {"a": 'say "x"'}),
        ("{'a':'say \\\"x\\\"'}", {"a": 'say "x"'}),
        ("{'a':'\\u00e9\\n'}", {"a": "é\n"}),
        ("{'a':'back\\\\'}", {"a": "back\\"}),
        ("{'a':\"b\"}", {"a": "b"}),
        ("{'a':null}", None),
    ],
)  # fmt: skip
def test_map_fields(value: Any, entries: dict[str, str] | None) -> None:
    """Objects, JSON in a text, and pseudo-JSON with single quotes made by blind replacement."""
    text = field(read(device_spec=value), "device_spec")
    assert (text and json.loads(text)) == entries


@pytest.mark.parametrize(
    "value", [7, 7.5, True, [], ["a"], {"a": 1.5}, {"a": True}, {"a": {}}, {"a": []}, "x", "[1]", "7", " ", "{'a':'b", "{'a':'b'", "{'a':{}}", "{a:'b'}", "'a'", "''" * 9000, '"\\"' * 9000, "{'a':'\\ud800'}", '"x"', "{'a':1.5}"]
)  # fmt: skip
def test_invalid_map_fields(value: Any) -> None:
    """Anything but an object of strings and whole numbers; hostile quotes cost no more than their length."""
    reason, detail = refusal(json.dumps({"device_id": "d", "version": 1600000000000000, "uaspec": value}).encode())
    assert (reason, detail.split()[0]) == ("invalid_field", "uaspec")


@pytest.mark.parametrize("embedded", [False, True])
def test_a_map_stands_for_no_more_than_an_event_may_have(embedded: bool) -> None:  # noqa: FBT001 - a parameter
    """63 KB of `1e999` became 5 MB in both stores, and 40 such events 241 MB of Redis. 65,536 bytes of keys and values are taken."""

    def event(entries: int, last: str = "") -> bytes:
        numbers = ",".join(f'"{number:03}":1e999' for number in range(entries))
        spec = f"{{{numbers}{last}}}".replace("'", '"')
        return b'{"device_id":"d","version":' + V + b',"uaspec":' + (json.dumps(spec) if embedded else spec).encode() + b"}"

    most = ",'é':'" + "x" * (65_536 - 65 * 1003 - 2) + "'"
    taken = field(decode(event(65, most), taken_ms=NOW_MS), "uaspec")
    assert taken
    assert sum(len(text.encode()) for entry in json.loads(taken).items() for text in entry) == 65_536
    for many in (event(65, most.replace("x", "xx", 1)), event(4_000)):
        assert refusal(many) == ("invalid_field", "uaspec stands for more than 65,536 bytes")


@pytest.mark.parametrize(
    ("raw", "ms"),
    [(b"0", 0), (b"null", 0), (b'""', 0), (b'"0"', 0), (b"1.5e12", 1_500_000_000_000), (b'"001500000000000"', 1_500_000_000_000), (b"9007199254740991", 1_600_000_000_000), (b"1500000000000.0", 1_500_000_000_000)],
)  # fmt: skip
def test_times(raw: bytes, ms: int) -> None:
    """Whole ms, also as 1.5e12 or as text of digits; zero and empty are absent."""
    event = decode(b'{"device_id":"d","version":' + V + b',"first_access":' + raw + b"}", taken_ms=NOW_MS)
    assert min(event.first_access, event.version // 1000) == ms


@pytest.mark.parametrize("raw", [b"1.5", b"{}", b'"\\ud800"', b"[" * 100 + b"]" * 100])
def test_an_erase_has_no_other_fields(raw: bytes) -> None:
    """Whatever else stands beside its id and its version is not read."""
    event = decode(b'{"device_id":"d","version":' + V + b',"erase":true,"city":' + raw + b"}", taken_ms=NOW_MS)
    assert (event.device_id, event.version, event.erase) == ("d", int(V), True)
    assert not any(event.values)


@pytest.mark.parametrize(
    "raw",
    [
        b"-1",
        b"1.5",
        b"9007199254740992",
        b"true",
        b"{}",
        b"[]",
        b'"x"',
        b'"1e3"',
        b'" 1"',
        b'"\xd9\xa1"',
        b'"' + b"9" * 5000 + b'"',
        b'"-1"',
    ],
)
def test_invalid_times(raw: bytes) -> None:
    """Anything else."""
    reason, detail = refusal(b'{"device_id":"d","version":' + V + b',"api_last_updated_on":' + raw + b"}")
    assert (reason, detail.split()[0]) == ("invalid_field", "api_last_updated_on")


NESTED = b'{"device_id":"d","version":' + V + b',"x":'
BAD: list[tuple[bytes, Reason]] = [
    (b" " * 65_537, "too_large"),
    (b'{"device_id":"\xff"}', "wrong_encoding"),
    (b'{"device_id":"\xed\xa0\x80"}', "wrong_encoding"),
    ('{"device_id":"d"}'.encode("utf-16"), "wrong_encoding"),
    (b"", "malformed_json"),
    (b"{", "malformed_json"),
    (b'{"device_id":"d"} x', "malformed_json"),
    (b"\xef\xbb\xbf{}", "missing_device_id"),
    (b'{"device_id":"d","version":NaN}', "malformed_json"),
    (b'{"device_id":"d","x":Infinity}', "malformed_json"),
    (b'{"device_id":"d","x":-Infinity}', "malformed_json"),
    (b'{"device_id":"d","x":"\x01"}', "malformed_json"),
    (b"[" * 10_000 + b"]" * 10_000, "malformed_json"),
    (NESTED + b"[" * 10_000 + b"]" * 10_000 + b"}", "malformed_json"),
    (NESTED + b"1" * 1001 + b"}", "malformed_json"),
    (NESTED + b"1" * 600 + b"e" + b"1" * 600 + b"}", "malformed_json"),
    (b"[]", "not_an_object"),
    (b"null", "not_an_object"),
    (b'"x"', "not_an_object"),
    (b"7", "not_an_object"),
    (b"{}", "missing_device_id"),
    (b'{"device_id":null}', "missing_device_id"),
    (b'{"device_id":""}', "invalid_device_id"),
    (b'{"device_id":7}', "invalid_device_id"),
    (b'{"device_id":["d"]}', "invalid_device_id"),
    (b'{"device_id":"a\\u0000"}', "invalid_device_id"),
    (b'{"device_id":"a\x7f"}', "invalid_device_id"),
    (b'{"device_id":"a\\u0085"}', "invalid_device_id"),
    (b'{"device_id":"\\ud800"}', "invalid_device_id"),
    (b'{"device_id":"' + b"x" * 257 + b'"}', "invalid_device_id"),
    (('{"device_id":"' + "é" * 129 + '"}').encode(), "invalid_device_id"),
    (b'{"device_id":"d","version":1.0}', "invalid_field"),
    (b'{"device_id":"d","version":"1600000000000000"}', "invalid_field"),
    (b'{"device_id":"d","version":true}', "invalid_field"),
    (b'{"device_id":"d","version":{}}', "invalid_field"),
    (b'{"device_id":"d","erase":1,"version":' + V + b"}", "invalid_field"),
    (b'{"device_id":"d","erase":"true","version":' + V + b"}", "invalid_field"),
    (b'{"device_id":"d","erase":"","version":' + V + b"}", "invalid_field"),
    (b'{"device_id":"d"}', "missing_version"),
    (b'{"device_id":"d","version":null}', "missing_version"),
    (b'{"device_id":"d","version":"","api_last_updated_on":0}', "missing_version"),
    (b'{"device_id":"d","erase":true,"api_last_updated_on":1600000000000}', "missing_version"),
    (b'{"device_id":"d","version":0}', "version_too_old"),
    (b'{"device_id":"d","version":-1}', "version_too_old"),
    (b'{"device_id":"d","version":1262303999999999}', "version_too_old"),
    (b'{"device_id":"d","api_last_updated_on":1566383863}', "version_too_old"),
    (b'{"device_id":"d","version":1700000300000001}', "version_in_future"),
    (b'{"device_id":"d","version":123456789012345678901234567890}', "version_in_future"),
    (b'{"device_id":"d","erase":true,"version":1700000300000001}', "version_in_future"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "reason"), BAD)
def test_every_refusal(raw: bytes, reason: Reason) -> None:
    """The exact bytes and the reason that dead letters will carry."""
    assert refusal(raw)[0] == reason


def test_every_reason_has_an_example() -> None:
    """No reason is without a test."""
    assert {reason for _, reason in BAD} == set(REASONS)


def test_the_first_reason_counts() -> None:
    """Several faults at once: the order of docs/law.md, "Refusals"."""
    wrong: dict[str, Any] = {"version": 5, "city": [], "device_id": ""}
    assert refusal(json.dumps(wrong).encode())[0] == "invalid_device_id"
    assert refusal(json.dumps(wrong | {"device_id": "d"}).encode())[0] == "invalid_field"
    assert refusal(b'{"device_id":"\xff"' + b" " * 65_536)[0] == "too_large"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"device_id":"d","version":1262304000000000}',
        b'{"device_id":"d","version":1700000300000000}',
        b'{"device_id":"' + b"x" * 256 + b'","version":' + V + b"}",
        NESTED + b"[" * 64 + b"]" * 64 + b"}",
        NESTED + b"1" * 100 + b"}",
        NESTED + b"1" * 1000 + b"}",
        NESTED + b'"' + b"1" * 2000 + b'"}',
        NESTED + b'"' + b"[{" * 2000 + b'"}',
        NESTED + b'"\\ud800"}',
        b'{"device_id":"d","city":7.5,"city":"Pune","version":' + V + b"}",
        b'{"device_id":7,"device_id":"d","version":' + V + b"}",
        b'{"device_id":"d","erase":true,"city":[],"first_access":-1,"uaspec":"x","version":' + V + b"}",
        b'{"device_id":"d","erase":null,"version":' + V + b"}",
        b'{"device_id":"d","version":' + V + b"}" + b" " * (65_536 - 46),
        b' \t\r\n{"device_id":"d","version":' + V + b"}\r",
    ],
)
def test_accepted_at_the_limits(raw: bytes) -> None:
    """What lies just within a limit, and what is wrong where it does not matter."""
    assert decode(raw, taken_ms=NOW_MS).device_id[0] in "dx"


def test_a_byte_order_mark_before_the_json_is_passed_by() -> None:
    """One, as some writers put it before every record; it is no part of the event, nor of its size."""
    bom = b"\xef\xbb\xbf"
    raw = b'{"device_id":"d","api_last_updated_on":1566383863167,"city":"Pune"}'
    assert decode(bom + raw, taken_ms=NOW_MS) == decode(raw, taken_ms=NOW_MS)
    longest = raw + b" " * (MAX_BYTES - len(raw))
    assert decode(bom + longest, taken_ms=NOW_MS) == decode(raw, taken_ms=NOW_MS)
    for wrong in (bom + bom + raw, raw + bom, bom, bom + longest + b" "):
        with pytest.raises(Refused):
            decode(wrong, taken_ms=NOW_MS)


def test_a_wider_clock_is_a_setting() -> None:
    """max_clock_ahead moves the guard."""
    raw = b'{"device_id":"d","version":1700000300000001}'
    assert decode(raw, taken_ms=NOW_MS, max_clock_ahead_ms=600_000).version == 1_700_000_300_000_001


_scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=4),
    st.sampled_from(["", "29", "{'a':'b'}", '{"a":1}', 1.5e12, 29.0, 1600000000000, 1600000000000000]),
)  # fmt: skip
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
)
_objects = st.dictionaries(
    st.sampled_from(["device_id", "version", "erase", "api_last_updated_on", "first_access", "x", *FIELDS]), _values, max_size=8
)


def outcome(raw: bytes) -> Event | Reason:
    try:
        return decode(raw, taken_ms=NOW_MS, logged_ms=NOW_MS)
    except Refused as refused:
        return refused.reason


@pytest.mark.slow
@settings(max_examples=2000)
@given(_objects, st.integers(0, 400), st.binary(max_size=3))
@example({"device_id": "d", "version": 1600000000000000, "device_spec": {"": ""}}, 400, b"")
def test_the_fast_path_never_disagrees_with_the_exact_one(fields: dict[str, Any], spot: int, noise: bytes) -> None:
    """Whatever the bytes, reading with msgspec first gives the same event or the same reason as reading exactly."""
    raw = json.dumps({"device_id": "d", "version": 1600000000000000} | fields).encode()
    raw = raw[:spot] + noise + raw[spot:]
    fast = outcome(raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_module, "_read_ordinary", _always_unusual)
        exact = outcome(raw)
    assert fast == exact


def _always_unusual(raw: bytes) -> Any:
    raise msgspec.ValidationError(str(len(raw)))
