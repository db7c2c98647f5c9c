"""Maps of strings, as the law keeps them: canonical JSON text, keys sorted by code point, no spaces."""

from collections.abc import Collection

import msgspec

MOST_BYTES = 1 << 16
"""Of all keys and values of an event's map, in UTF-8. Only numbers with an exponent stand for more than is written."""

MOST_KEY_BYTES = 1 << 16
"""Of all keys of a union, in UTF-8, with ENTRY_BYTES more for each. One event has fewer."""

ENTRY_BYTES = 5
"""What an entry takes in an event beside its key, at least: two quotes, a colon, a digit, a comma."""

LONGEST_UNITED = 256
"""Bytes of a key or a value in JSON. A map with a longer one is long. A union has none: so it has at most 3 MB."""

_FEW = 100
_json, _sorted_json = msgspec.json.Encoder(), msgspec.json.Encoder(order="deterministic")
entries_of = msgspec.json.Decoder(dict[str, str]).decode
"""The entries of a map's JSON text. Raises msgspec.MsgspecError where the text is no map of strings."""


def map_text(entries: dict[str, str]) -> str | None:
    """The canonical JSON text of a map of strings; None when it is empty.

    Few are sorted by msgspec, which is faster. Of many in an unlucky order it takes long, and a deep stack.
    """
    if len(entries) <= _FEW:
        return _sorted_json.encode(entries).decode() if entries else None
    return _json.encode(dict(sorted(entries.items()))).decode()


def is_long(text: str) -> bool:
    """Whether a map as text has a key or a value of more than LONGEST_UNITED."""
    return len(text.encode()) > LONGEST_UNITED and _has_long(entries_of(text))


def has_too_many(entries: Collection[str]) -> bool:
    """Whether a union with these keys is no value: they are more than MOST_KEY_BYTES. More keys never make it one again."""
    return sum(len(key.encode()) for key in entries) + ENTRY_BYTES * len(entries) > MOST_KEY_BYTES


def union(one: str, other: str) -> str | None:
    """Of two different maps as text: all their entries, the greater value per key.

    None where it has too many. None too where a map is long, unless it alone is, and is the union by itself.
    """
    entries, others = entries_of(one), entries_of(other)
    long = [text for text, of_map in ((one, entries), (other, others)) if _has_long(of_map)]
    for key, theirs in others.items():
        entries[key] = max(entries.get(key, theirs), theirs)
    united = None if has_too_many(entries) else map_text(entries)
    return united if not long or long == [united] else None


def _has_long(entries: dict[str, str]) -> bool:
    return any(len(_json.encode(each)) - 2 > LONGEST_UNITED for entry in entries.items() for each in entry)  # without quotes
