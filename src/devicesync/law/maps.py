"""Maps of strings, as the law keeps them: canonical JSON text, keys sorted by code point, no spaces."""

import msgspec

MOST_ENTRIES = 1 << 14
"""Of a union. One event has fewer: an entry takes six bytes at least."""

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


def union(one: str, other: str) -> str | None:
    """Of two maps as text: all their entries, the greater value per key. None where these are more than MOST_ENTRIES."""
    entries = entries_of(one)
    for key, theirs in entries_of(other).items():
        entries[key] = max(entries.get(key, theirs), theirs)
    return map_text(entries) if len(entries) <= MOST_ENTRIES else None
