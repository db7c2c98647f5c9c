"""Maps of strings, as the law keeps them: canonical JSON text, keys sorted by code point, no spaces."""

import msgspec

MOST_ENTRIES = 1 << 14
"""Of a union. One event has fewer: an entry takes six bytes at least."""

LONGEST_UNITED = 512
"""Bytes of UTF-8 of a key or a value. A map with a longer one is long. A union has none: so it has at most 16 MiB."""

_FEW = 100
_json, _sorted_json = msgspec.json.Encoder(), msgspec.json.Encoder(order="deterministic")
entries_of = msgspec.json.Decoder(dict[str, str]).decode
"""The entries of a map's JSON text. Raises msgspec.MsgspecError where the text is no map of strings."""


def map_text(entries: dict[str, str]) -> str | None:
    """The canonical JSON text of a map of strings; None when it is empty.

    Few are sorted by msgspec, which is faster. Of a million in an unlucky order it would overflow the stack and end the process.
    """
    if len(entries) <= _FEW:
        return _sorted_json.encode(entries).decode() if entries else None
    return _json.encode(dict(sorted(entries.items()))).decode()


def is_long(text: str) -> bool:
    """Whether a map as text has a key or a value of more than LONGEST_UNITED."""
    return len(text.encode()) > LONGEST_UNITED and _has_long(entries_of(text))


def union(one: str, other: str) -> str | None:
    """Of two different maps as text: all their entries, the greater value per key.

    None where these are more than MOST_ENTRIES. None too where a map is long, unless it alone is, and is the union by itself.
    """
    entries, others = entries_of(one), entries_of(other)
    long = [text for text, of_map in ((one, entries), (other, others)) if _has_long(of_map)]
    for key, theirs in others.items():
        entries[key] = max(entries.get(key, theirs), theirs)
    united = map_text(entries) if len(entries) <= MOST_ENTRIES else None
    return united if not long or long == [united] else None


def _has_long(entries: dict[str, str]) -> bool:
    return any(len(each.encode()) > LONGEST_UNITED for entry in entries.items() for each in entry)
