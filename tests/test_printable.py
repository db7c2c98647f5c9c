"""Text from outside does not steer a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from devicesync.printable import printable


@given(st.text(alphabet=st.characters()))
def test_no_control_character_is_left(text: str) -> None:
    """Whatever comes in: printable characters stay, a terminal obeys none, and any terminal can be given it."""
    shown = printable(text)
    assert not [each for each in shown if ord(each) < 32 or 127 <= ord(each) < 160 or 0x202A <= ord(each) <= 0x202E]
    shown.encode()
    if text.isprintable() and text.isascii():
        assert shown == text


def test_escape_codes_are_shown() -> None:
    r"""As \x1b; other scripts stay as they are."""
    assert printable("\x1b[31mবাংলা\x9b\n\udc80") == "\\x1b[31mবাংলা\\x9b\\x0a\\udc80"
