"""Maps of strings, as the law keeps them: canonical JSON text, keys sorted by code point, no spaces."""

import msgspec

MOST_ENTRIES = 256
"""Of an event's map, and of a union."""

MOST_BYTES = 1 << 16
"""Of all keys and values of an event's map, in UTF-8. Only numbers with an exponent stand for more than is written."""

LONGEST_UNITED = 256
"""Bytes of a key or a value in JSON. A map with a longer one is long. A union has none: so it has 133 KB at most."""

_json, _sorted_json = msgspec.json.Encoder(), msgspec.json.Encoder(order="deterministic")
entries_of = msgspec.json.Decoder(dict[str, str]).decode
"""The entries of a map's JSON text. Raises msgspec.MsgspecError where the text is no map of strings."""


def map_text(entries: dict[str, str]) -> str | None:
    """The canonical JSON text of a map of strings; None when it is empty.

    msgspec sorts faster, but of many in an unlucky order it takes long, and a deep stack. Other programs' rows may have many.
    """
    if len(entries) <= MOST_ENTRIES:
        return _sorted_json.encode(entries).decode() if entries else None
    return _json.encode(dict(sorted(entries.items()))).decode()


def is_long(text: str) -> bool:
    """Whether a map as text has a key or a value of more than LONGEST_UNITED."""
    return len(text.encode()) > LONGEST_UNITED and _has_long(entries_of(text))


def union(one: str, other: str) -> str | None:
    """Of two different maps as text: all their entries, the greater value per key.

    None where they are too many. None too where a map is long, unless it alone is, and is the union by itself.
    """
    entries, others = entries_of(one), entries_of(other)
    long = [text for text, of_map in ((one, entries), (other, others)) if _has_long(of_map)]
    for key, theirs in others.items():
        entries[key] = max(entries.get(key, theirs), theirs)
    united = map_text(entries) if len(entries) <= MOST_ENTRIES else None
    return united if not long or long == [united] else None


def _has_long(entries: dict[str, str]) -> bool:
    return any(len(_json.encode(each)) - 2 > LONGEST_UNITED for entry in entries.items() for each in entry)  # without quotes
