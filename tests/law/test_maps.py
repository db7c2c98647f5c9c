"""Maps as text: canonical, and whatever their order and number."""

from sys import getsizeof
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicesync.law.event import Event, decode
from devicesync.law.facets import FIELDS
from devicesync.law.maps import LONGEST_UNITED, MOST_ENTRIES, entries_of, is_long, map_text, union
from devicesync.law.refusal import Refused
from devicesync.law.state import state_of
from devicesync.law.values import string_map


@pytest.mark.slow
@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), min_size=1, max_size=300))
def test_keys_come_in_the_order_of_their_code_points(entries: dict[str, str]) -> None:
    """Of few and of many: which way sorts them does not show."""
    text = map_text(entries)
    assert text
    assert text.encode() == msgspec.json.Encoder(order="deterministic").encode(entries)
    assert [*entries_of(text)] == sorted(entries)
    assert union(text, text) == text


def test_a_union_has_so_many_entries() -> None:
    """As many as an event can have, and no more. Whether it is a value does not depend on the order."""
    few, most, last = ({f"{number:04x}": "v" for number in some} for some in (range(10), range(MOST_ENTRIES), [MOST_ENTRIES]))
    one, other, new = (map_text(entries) or "" for entries in (few, most, last))
    assert union(one, other) == union(other, one) == other
    assert union(one, new)
    assert union(other, new) is None


def test_an_event_has_no_more_entries_than_a_union() -> None:
    """Those without a value do not count. So whatever has more is a union."""
    entries = {f"{number:04x}": "v" for number in range(MOST_ENTRIES)}
    assert string_map("uaspec", entries | dict.fromkeys(["empty", "none"])) == map_text(entries)
    with pytest.raises(Refused, match="uaspec has more than 256 entries"):
        string_map("uaspec", entries | {"one": 1})


@pytest.mark.parametrize("value", ["v", 1, ""])
@pytest.mark.parametrize("form", ["a map", "a text"])
def test_an_event_of_any_form_has_no_more(form: str, value: Any) -> None:
    """Also one that is read the fast way."""

    def event(count: int) -> Event:
        entries: Any = {f"{number:04x}": "v" for number in range(count)} | {"last": value}
        document = {"device_id": "d", "version": 1_600_000_000_000_000, "device_spec": entries}
        if form == "a text":
            document["device_spec"] = msgspec.json.encode(entries).decode()
        return decode(msgspec.json.encode(document), taken_ms=1_600_000_000_000)

    most = MOST_ENTRIES - bool(value)
    held = event(most).values[FIELDS.index("device_spec")]
    assert len(entries_of(held or "")) == MOST_ENTRIES
    with pytest.raises(Refused, match="device_spec has more than 256 entries"):
        event(most + 1)


def test_many_entries_of_another_program_come_in_order_too() -> None:
    """More than msgspec sorts for us."""
    entries = {str(number): "v" for number in reversed(range(1000))}
    assert map_text(entries) == msgspec.json.Encoder(order="deterministic").encode(entries).decode()


@pytest.mark.parametrize("character", ["v", "é", "\n"])
def test_a_map_is_long_by_the_bytes_of_a_key_or_a_value(character: str) -> None:
    text = character * (LONGEST_UNITED // len(msgspec.json.encode(character)[1:-1]))
    for entries, expected in (({text: text}, False), ({text + "v": "v"}, True), ({"k": text + "v"}, True), ({"k": "v"}, False)):
        assert is_long(map_text(entries) or "") == expected


def test_what_counts_as_large_is_what_the_texts_take() -> None:
    """All of them, with four bytes a character where one is an emoji."""
    line = (
        '{"device_id":"d","version":1600000000000000,"city":"Pune\U0001f600","uaspec":{"a":"b"},"device_spec":{"c":"d"}}'.encode()
    )
    assert state_of(decode(line, taken_ms=1_600_000_000_000)).text_bytes == getsizeof("Pune\U0001f600") + 2 * getsizeof(
        '{"a":"b"}'
    )


def test_a_long_map_beats_what_it_contains() -> None:
    """With anything else, another long map above all, it is no value."""
    long = map_text({"a": "v" * (LONGEST_UNITED + 1), "b": "2"}) or ""
    for other, expected in (('{"b":"1"}', long), ('{"b":"3"}', None), ('{"c":"1"}', None), (long.replace("2", "1"), None)):
        assert union(long, other) == union(other, long) == expected
