"""Random events from small pools, so that equal versions, erases in between and empty fields are common."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

from hypothesis import strategies as st

from devicesync import stores
from devicesync.cache import redis, redis_scripts
from devicesync.few import few_at_once
from devicesync.law import maps
from devicesync.law.event import Event
from devicesync.law.facets import FIELDS, MAP_FIELDS, Values
from devicesync.law.maps import map_text

BASE_US = 1_600_000_000_000_000
FEW_ENTRIES, FEW_BYTES = 2, 4
"""An event's map has no more."""

versions = st.integers(0, 6).map(lambda step: BASE_US + step * 700)
_texts = st.sampled_from([None, None, "a", "b", "é", "\U0001f600", "\uffff"])
_maps = st.dictionaries(
    st.sampled_from(["os", "make", "", "é"]), st.sampled_from(["1", "2", "é", "long!"]), max_size=FEW_ENTRIES
).map(map_text)
_times = st.sampled_from([0, 0, 1_500_000_000_000, BASE_US // 1000, BASE_US // 1000 + 3, 1_900_000_000_000])


@contextmanager
def few_entries() -> Iterator[None]:
    """Unions of maps keep FEW_ENTRIES of FEW_BYTES, so that random ones have too many, or too long ones. Any map is large."""
    limit = f"MOST_ENTRIES, LONGEST_UNITED = {maps.MOST_ENTRIES}, {maps.LONGEST_UNITED} "
    script: str = vars(redis)["MERGE"]
    assert limit in script
    at_once = f"MOST_UNITED_BYTES = {redis_scripts.MOST_UNITED_BYTES} "
    assert at_once in script
    few = script.replace(at_once, "MOST_UNITED_BYTES = 1 ").replace(
        limit, f"MOST_ENTRIES, LONGEST_UNITED = {FEW_ENTRIES}, {FEW_BYTES} "
    )
    limits = mock.patch.multiple(maps, MOST_ENTRIES=FEW_ENTRIES, LONGEST_UNITED=FEW_BYTES)
    large = mock.patch.multiple(stores, few_at_once=partial(few_at_once, count=1), MUCH_BYTES=1)
    with limits, large, mock.patch.object(redis, "MERGE", few):
        yield


def values_of(text: str | None = None, **fields: str | None) -> Values:
    """An event's values: those of some fields by name, and `text` for every other text."""
    return tuple(fields.get(field, None if field in MAP_FIELDS else text) for field in FIELDS)


@st.composite
def events(draw: st.DrawFn, device_id: str = "d") -> Event:
    """An event of one device."""
    version = draw(versions)
    if draw(st.integers(0, 5)) == 0:
        return Event(device_id, version, erase=True)
    values = [draw(_maps if field in MAP_FIELDS else _texts) for field in FIELDS]
    if draw(st.booleans()):
        values = [value if draw(st.integers(0, 3)) == 0 else None for value in values]
    return Event(device_id, version, values=tuple(values), api_last_updated_on=draw(_times), first_access=draw(_times))


def device_events(max_size: int = 8) -> st.SearchStrategy[list[Event]]:
    """Some events of one device, duplicates included."""
    some: st.SearchStrategy[list[Any]] = st.lists(events(), max_size=max_size)
    return st.tuples(some, st.lists(st.integers(0, 100), max_size=3)).map(
        lambda drawn: drawn[0] + [drawn[0][spot % len(drawn[0])] for spot in drawn[1] if drawn[0]]
    )
