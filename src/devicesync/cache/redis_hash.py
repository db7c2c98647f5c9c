"""What a profile hash says: the state that the law knows, and what its readers see."""

import re

from devicesync.cache.redis_scripts import HASH_NAMES
from devicesync.law.facets import FACETS, FIELDS, MAP_FIELDS
from devicesync.law.maps import MOST_ENTRIES, entries_of
from devicesync.law.seen import Seen
from devicesync.law.state import State, is_sound

_FIELDS = tuple(tuple(HASH_NAMES.get(field, field) for field in facet.fields) for facet in FACETS)
_MAPS = tuple(HASH_NAMES.get(field, field) for field in sorted(MAP_FIELDS))
_TIMES = {"firstaccess": "first_access", "user_declared_on": "user_declared_on", "api_last_updated_on": "api_last_updated_on"}
_EVENT_NAMES = {HASH_NAMES.get(field, field): field for field in FIELDS} | _TIMES
_MOST_DIGITS = 16
"""Of a number in `_state`. No version of ours has more, and SQLite's and Lua's numbers bear it."""

UNREADABLE = Seen(0, {}, is_ours=False)
"""What is seen of a hash that is too large, or no text: no more than that it is there."""

_NUMBER = rf"\d{{1,{_MOST_DIGITS}}}"
_LEDGER = re.compile(
    rf"{_NUMBER},{_NUMBER},(?:(?:{_NUMBER})?,){{{len(FACETS)}}}{_NUMBER},{_NUMBER},{_NUMBER},\d,[0-9a-f]+", re.ASCII
)
"""A `_state`, as state.lua has it. Python's int takes more: spaces, signs, and digits of other scripts."""


def versions(packed: str) -> State:
    """What the numbers of a `_state` of the right form say (state.lua): a state whose facets have versions and no values.

    Raises ValueError where another program wrote numbers that no state has.
    """
    numbers = packed.split(",")
    if max(map(len, numbers)) > _MOST_DIGITS:
        raise ValueError("a number of too many digits")
    erased, text, *facets, updated, first_access, user_declared_on = numbers
    live = int(text)
    at_live = live, ()
    registers = tuple([at_live if not facet else (int(facet), ()) for facet in facets])
    state = State(live, int(erased), int(updated), int(first_access), int(user_declared_on), registers)
    if not is_sound(state):
        raise ValueError("numbers that no state has")
    return state


def state_of(found: dict[str, str]) -> State:
    """The state that a hash holds. Raises ValueError and msgspec's errors where another program has written into it."""
    packed = found["_state"]
    if not _LEDGER.fullmatch(packed) or not _is_text(found):
        raise ValueError("no state of ours")
    version, erased, updated_on, first_access, user_declared_on, registers = versions(packed.rsplit(",", 2)[0])
    if not version:
        return State(erased=erased)
    for name in _MAPS:
        if name in found and len(entries_of(found[name])) > MOST_ENTRIES:
            raise ValueError("a map of more entries than events can make")
    filled = [
        (at, tuple([found.get(field) or None for field in fields])) for (at, _), fields in zip(registers, _FIELDS, strict=True)
    ]
    return State(version, erased, updated_on, first_access, user_declared_on, tuple(filled))


def seen_in(found: dict[str, str]) -> Seen | None:
    """What readers see who know docs/reading-the-cache.md and nothing of `_state`. None: no profile and no tombstone of ours."""
    texts = {name: value for field, value in found.items() if (name := _EVENT_NAMES.get(field))}
    mark = found.get("_state", "")
    is_ours = _LEDGER.fullmatch(mark) is not None
    version = _number(found.get("version", ""))
    if texts:
        if not is_ours and "api_last_updated_on" not in texts:
            return None
        return Seen(version, texts, 0, is_ours, mark) if _is_text(found) else UNREADABLE
    return Seen(version, None, version, mark=mark) if is_ours else None


def _is_text(found: dict[str, str]) -> bool:
    """Whether all of it is UTF-8. Other bytes are lone surrogates here (redis_connect.py), which no event's text has."""
    together = "".join(found.values())
    if together.isascii():
        return True
    try:
        together.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else 0
