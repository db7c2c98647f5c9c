"""Maps as text: canonical, and whatever their order and number."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicesync.law import maps
from devicesync.law.event import decode
from devicesync.law.maps import LONGEST_UNITED, entries_of, is_long, map_text, union
from devicesync.law.state import state_of


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), min_size=1, max_size=300))
def test_keys_come_in_the_order_of_their_code_points(entries: dict[str, str]) -> None:
    """Of few and of many: which way sorts them does not show."""
    text = map_text(entries)
    assert text
    assert text.encode() == msgspec.json.Encoder(order="deterministic").encode(entries)
    assert [*entries_of(text)] == sorted(entries)
    assert union(text, text) == text


def test_many_keys_come_in_order_too() -> None:
    """More than msgspec sorts for us."""
    entries = {str(number): "v" for number in reversed(range(300))}
    assert map_text(entries) == msgspec.json.Encoder(order="deterministic").encode(entries).decode()


def test_a_union_has_so_many_keys() -> None:
    """As many as an event can have, and no more. Whether it is a value does not depend on the order."""
    most = maps.MOST_KEY_BYTES // (4 + maps.ENTRY_BYTES)
    one, other, last = (map_text({f"{number:04x}": "v" for number in some}) or "" for some in (range(10), range(most), [most]))
    assert union(one, other) == union(other, one) == other
    assert union(one, last)
    assert union(other, last) is None
    assert decode(
        b'{"device_id":"d","version":1600000000000000,"uaspec":{%b}}' % b",".join(b'"%d":1' % number for number in range(7200)),
        taken_ms=1_600_000_000_000,
    )
    assert not maps.has_too_many([str(number) for number in range(7200)])


@pytest.mark.parametrize("character", ["v", "é", "\n"])
def test_a_map_is_long_by_the_bytes_of_a_key_or_a_value(character: str) -> None:
    text = character * (LONGEST_UNITED // len(msgspec.json.encode(character)[1:-1]))
    for entries, expected in (({text: text}, False), ({text + "v": "v"}, True), ({"k": text + "v"}, True), ({"k": "v"}, False)):
        assert is_long(map_text(entries) or "") == expected


def test_what_counts_as_large_is_the_text_of_the_maps() -> None:
    """Of both, and nothing else."""
    line = b'{"device_id":"d","version":1600000000000000,"city":"Pune","uaspec":{"a":"b"},"device_spec":{"c":"d"}}'
    assert state_of(decode(line, taken_ms=1_600_000_000_000)).map_characters == len('{"a":"b"}{"c":"d"}')


def test_a_long_map_beats_what_it_contains() -> None:
    """With anything else, another long map above all, it is no value."""
    long = map_text({"a": "v" * (LONGEST_UNITED + 1), "b": "2"}) or ""
    for other, expected in (('{"b":"1"}', long), ('{"b":"3"}', None), ('{"c":"1"}', None), (long.replace("2", "1"), None)):
        assert union(long, other) == union(other, long) == expected
