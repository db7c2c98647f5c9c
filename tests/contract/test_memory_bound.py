"""The memory cache has a bound in bytes too: a text with one character beyond U+FFFF takes four times its length."""

from sys import getsizeof

from devicesync.cache.memory import MemoryCache
from devicesync.law.event import Event
from devicesync.law.state import State, state_of
from tests.law.strategies import BASE_US, values_of

WIDE = "a" * 64_600 + "\U0001f600"


def wide(name: str, version: int = BASE_US) -> State:
    """A device's state whose texts take 256 KiB."""
    return state_of(Event(name, version, values=values_of(fcm_token=WIDE + name)))


def bytes_of(cache: MemoryCache, names: list[str]) -> int:
    return sum(
        getsizeof(text) for state in cache.read(names).values() for _, values in state.registers for text in values if text
    )


def write(cache: MemoryCache, changes: dict[str, State]) -> None:
    cache.merge(changes, cache.look(changes).tickets)


def test_large_texts_of_many_devices_are_not_all_held() -> None:
    cache = MemoryCache()
    names = [f"d{number}" for number in range(400)]
    for name in names:
        write(cache, {name: wide(name)})
        assert cache.read([name]), "the newest is held"
    assert bytes_of(cache, names) <= 64 << 20
    assert not cache.read([names[0]])


def test_what_was_forgotten_or_replaced_leaves_room_again() -> None:
    """The room of a state that is no longer held counts no more."""
    cache = MemoryCache()
    names = [f"d{number}" for number in range(100)]
    for turn in range(5):
        changes = {name: wide(name, BASE_US + turn) for name in names}
        write(cache, changes)
        marks = {name: str(state) for name, state in cache.read(names).items()}
        assert cache.replace(changes, marks) == names
        assert cache.read(names).keys() == {*names}
        cache.forget(names[turn:])
