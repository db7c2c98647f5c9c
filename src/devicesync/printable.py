"""Text from outside, made fit for a terminal."""

import re
from typing import Any, TextIO

_OTHER = re.compile("[^\x00-\x7f]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
# C0, DEL and C1 controls begin what a terminal obeys; the others change the order in which text is shown.
_OBEYED = (*range(0x20), *range(0x7F, 0xA0), 0x61C, *range(0x200E, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_SHOWN = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _OBEYED}  # noqa: PLR2004 - one byte
_IN_JSON = {code: f"\\u{code:04x}" for code in _OBEYED}


def printable(text: str) -> str:
    r"""The text with control characters shown as \x1b, also line ends, and what is no UTF-8 shown as \udcff."""
    return encodable(text.translate(_SHOWN))


def encodable(text: str) -> str:
    r"""The text with what is no UTF-8 shown as \udcff, such as bytes of a file's name: JSON, SQLite and Kafka take no other."""
    return text.encode(errors="backslashreplace").decode()


def json_text(document: Any) -> str:
    """The document as JSON of one line, with what is no UTF-8 as `encodable` shows it."""
    import json  # noqa: PLC0415 - most commands print no JSON

    import msgspec  # noqa: PLC0415 - as above

    try:
        return msgspec.json.encode(document).decode()
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(document), ensure_ascii=False, separators=(",", ":"))
        return encodable(_SURROGATE.sub(r"\\\g<0>", text))


def printable_json(text: str) -> str:
    r"""The JSON text of one line with such characters as JSON's own escapes, \u001b: it says the same."""
    return text.translate(_IN_JSON)


def json_for(stream: TextIO, document: Any) -> str:
    """The document as JSON of one line, with JSON's own escapes for what a terminal obeys, or for what the stream can't take."""
    text = json_text(document)
    if stream.isatty():
        text = printable_json(text)
    if stream.encoding.lower().replace("-", "") == "utf8":
        return text
    return _OTHER.sub(
        lambda found: "".join(f"\\u{unit:04x}" for unit in memoryview(found[0].encode("utf-16")[2:]).cast("H")), text
    )
