"""A bad record names a device however JSON's escapes write it; it is read in pieces, and they change nothing."""

import json
import re
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from devicesync.jobs.backup import escapes
from devicesync.jobs.backup.escapes import has_any

_PARTS = [
    "\\",
    "\\\\",
    "u",
    "00",
    "0067",
    "ge",
    "r",
    "ä",
    "😀",
    '"',
    "'",
    "/",
    "n",
    "\\u",
    "\\ud83d",
    "\\ude00",
    "\\u005c",
    "\ufeff",
]
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)


def whole(value: bytes, texts: tuple[str, ...]) -> bool:
    """The same without pieces."""
    text = value.decode(errors="replace")
    for _ in range(4):
        if any(each in text for each in texts):
            return True
        text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else "\n" if found[2] in "bfnrt" else found[2], text)
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return False


@settings(max_examples=1000)
@given(
    value=st.binary(max_size=20) | st.lists(st.sampled_from(_PARTS), max_size=20).map(lambda parts: "".join(parts).encode()),
    wanted=st.sampled_from(['"ger"', "g", "ä", "😀", "\ufffd", "\\", "\\u0067", "\n", "r/", '"', "\ufffd\ufffd", "\ufeff"])
    | st.lists(st.sampled_from([part for part in _PARTS if len(part) < 3]), min_size=1, max_size=4).map("".join),
    size=st.integers(1, 9),
)
@example(b"\\\\u0067", "g", 1)
@example(b"\\ud83d\\ude00", "\U0001f600", 7)
def test_pieces_change_nothing(value: bytes, wanted: str, size: int) -> None:
    """Escapes, halves of a character and the text itself are cut in any place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(escapes, "_PIECE_BYTES", size)
        assert has_any(value, (wanted, '"gerä"')) == whole(value, (wanted, '"gerä"'))


@pytest.mark.parametrize("levels", [0, 1, 2, 3, 4])
@given(before=st.integers((64 << 10) - 90, (64 << 10) + 1))
@settings(max_examples=25)
def test_a_name_is_found_across_the_edge_of_a_piece(levels: int, before: int) -> None:
    """Where escapes are read three times at most."""
    text = '"ger\xe4t/1"'
    for _ in range(levels):
        text = json.dumps(text)
    assert has_any(b"x" * before + text.encode(), ('"gerät/1"',)) == (levels < 4)


def test_a_record_of_escapes_takes_little_memory() -> None:
    """Few KB of a file unpack to them. All at once they took 1.2 GiB."""
    value = b"\\u4e00" * (1 << 20)
    tracemalloc.start()
    try:
        assert not has_any(value, ('"gone"',))
        assert has_any(value + b'"\\u0067one"', ('"gone"',))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
