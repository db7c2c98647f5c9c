r"""Looks for texts in a bad record, however JSON's escapes write them: in a text of JSON, or in one within others.

Some KB of Parquet unpack to 60 MiB of escapes. So the record is read piece by piece.
"""

import re
from codecs import getincrementaldecoder
from functools import lru_cache

_PIECE_BYTES = 64 << 10
_LEVELS = 3
"""How often escapes are read: those of an id in JSON within JSON within JSON too."""
_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_OPEN = re.compile(r"\\(?:u[0-9A-Fa-f]{0,3})?")
_OPEN_LENGTH = 5


def has_any(value: bytes, texts: tuple[str, ...]) -> bool:
    """Whether one of these texts, none of them empty, is in the value as it is, or after its escapes are read."""
    decoder = getincrementaldecoder("utf-8")("replace")
    level = _Level(texts, _LEVELS)
    for start in range(0, len(value), _PIECE_BYTES):
        end = start + _PIECE_BYTES
        if level.finds(decoder.decode(value[start:end], final=end >= len(value)), is_last=end >= len(value)):
            return True
    return False


class _Level:
    """A value whose escapes are read none, one or more times."""

    def __init__(self, texts: tuple[str, ...], more_levels: int) -> None:
        self._texts = texts
        self._overlap = max(map(len, texts)) - 1
        self._next = _Level(texts, more_levels - 1) if more_levels else None
        self._before = self._open = self._half = ""

    def finds(self, piece: str, *, is_last: bool) -> bool:
        """Whether a text ends in the next piece of the value."""
        seen = self._before + piece
        if any(text in seen for text in self._texts):
            return True
        self._before = seen[-self._overlap :] if self._overlap else ""
        return self._next is not None and self._next.finds(self._read(piece, is_last=is_last), is_last=is_last)

    def _read(self, piece: str, *, is_last: bool) -> str:
        """The piece with its escapes read, wherever they stand: a bad record need not be JSON. One that is cut waits."""
        text = self._open + piece
        end = len(text) if is_last else _open_at(text)
        self._open = text[end:]
        read = self._half + _ESCAPE.sub(lambda escape: _meant(escape[0]), text[:end])
        self._half = read[-1:] if not is_last and "\ud800" <= read[-1:] <= "\udbff" else ""
        whole = read[: len(read) - len(self._half)]
        return whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _open_at(text: str) -> int:
    """Where the escape begins that the end of the text cuts; its length where none is cut."""
    at = text.rfind("\\", max(len(text) - _OPEN_LENGTH, 0))
    backslashes = at + 1 - len(text[: at + 1].rstrip("\\"))
    return at if backslashes % 2 and _OPEN.fullmatch(text, at) else len(text)


@lru_cache(1024)
def _meant(escape: str) -> str:
    if len(escape) > len(r"\u"):
        return chr(int(escape[2:], 16))  # noqa: FURB166 - no prefix 0x
    return "\n" if escape[1] in "bfnrt" else escape[1]
