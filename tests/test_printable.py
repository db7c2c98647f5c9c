"""Text from outside does not steer a terminal."""

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from devicesync.printable import encodable, json_for, json_text, printable, printable_json

DIRECTIONS = {*map(chr, (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))}
"""Unicode's Bidi_Control: they change the order of what is shown."""


@given(st.text(alphabet=st.characters()))
def test_no_control_character_is_left(text: str) -> None:
    """Whatever comes in: printable characters stay, a terminal obeys none, and any terminal can be given it."""
    shown = printable(text)
    assert not [each for each in shown if ord(each) < 32 or 127 <= ord(each) < 160 or each in DIRECTIONS]
    shown.encode()
    if text.isprintable() and text.isascii():
        assert shown == text


def test_escape_codes_are_shown() -> None:
    r"""As \x1b; other scripts stay as they are."""
    assert printable("\x1b[31mবাংলা\x9b\n\udc80") == "\\x1b[31mবাংলা\\x9b\\x0a\\udc80"


@given(st.text(alphabet=st.characters()) | st.sampled_from(["\udcff", '"\udcff\\']))
def test_a_document_with_any_name_is_json(name: str) -> None:
    """A name of bytes that are no UTF-8 too, as it is shown elsewhere."""
    read = json.loads(json_text({"name": name, "of": [name]}).encode())
    assert read == {"name": encodable(name), "of": [encodable(name)]}


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])) | st.sampled_from(sorted(DIRECTIONS)))
def test_json_says_the_same(text: str) -> None:
    """And no terminal obeys it."""
    shown = printable_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(shown) == text
    assert printable(shown) == shown


@given(st.text(), st.sampled_from(["ascii", "latin-1", "utf-8"]))
def test_json_is_json_in_every_encoding(text: str, encoding: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    stream.write(json_for(stream, {"city": text}))
    stream.seek(0)
    assert json.loads(stream.read()) == {"city": encodable(text)}
