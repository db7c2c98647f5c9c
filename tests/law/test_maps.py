"""Maps as text: canonical, and whatever their order and number."""

import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicesync.law.maps import LONGEST_UNITED, entries_of, is_long, map_text, union

MANY_IN_A_SMALL_STACK = """
import threading
from functools import reduce
from devicesync.law.maps import map_text, union

def of_batch(first):
    texts = [map_text({f"{event:x}k{number:x}": "v" for number in range(1000)}) for event in range(first, first + 4)]
    return reduce(union, texts)

def join():
    print(len(reduce(union, map(of_batch, range(0, 16, 4)))))

threading.stack_size(128 << 10)
thread = threading.Thread(target=join)
thread.start()
thread.join()
"""


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


def test_a_union_of_many_needs_no_deep_stack() -> None:
    """300 ties of 4,200 entries each ended the updater by SIGSEGV, at each start. A small stack stands for more of them."""
    done = subprocess.run([sys.executable, "-c", MANY_IN_A_SMALL_STACK], check=False, capture_output=True, text=True)
    assert (done.returncode, int(done.stdout or 0) > 150_000) == (0, True)


@pytest.mark.parametrize("character", ["v", "é", "\n"])
def test_a_map_is_long_by_the_bytes_of_a_key_or_a_value(character: str) -> None:
    text = character * (LONGEST_UNITED // len(character.encode()))
    for entries, expected in (({text: text}, False), ({text + "v": "v"}, True), ({"k": text + "v"}, True), ({"k": "v"}, False)):
        assert is_long(map_text(entries) or "") == expected


def test_a_long_map_beats_what_it_contains() -> None:
    """With anything else, another long map above all, it is no value."""
    long = map_text({"a": "v" * (LONGEST_UNITED + 1), "b": "2"}) or ""
    for other, expected in (('{"b":"1"}', long), ('{"b":"3"}', None), ('{"c":"1"}', None), (long.replace("2", "1"), None)):
        assert union(long, other) == union(other, long) == expected
