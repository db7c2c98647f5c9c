"""What a file looks like that is no file of JSON lines, and what makes one of it."""

from typing import NamedTuple

_MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "bzip2-compressed",
    b"\xfd7zXZ": "xz-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
    b"PAR1": "Parquet",
    b"SQLite format 3": "a SQLite database",
}
_SEPARATORS = ",;\t|"


class FileKind(NamedTuple):
    """What a file looks like, and a hint, which may be empty."""

    name: str
    hint: str = ""


def file_kind(head: bytes) -> FileKind:
    """What a file that begins like this looks like; for one none of whose lines is an event."""
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return FileKind(kind, "unpack it first" if "archive" in kind or "compressed" in kind else "")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return FileKind("text in UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE` makes UTF-8 of it")
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.end < len(head) - 3:
            return FileKind("binary, or text in another encoding than UTF-8")
        text = head[: error.start].decode("utf-8-sig")
    return FileKind("binary") if "\0" in text else _kind_of_text(text.lstrip())


def _kind_of_text(text: str) -> FileKind:
    if text.startswith("["):
        return FileKind("a JSON array", "`jq -c '.[]' FILE` makes one line of each event")
    if text.startswith("{"):
        return FileKind(
            "JSON over several lines, or cut off", "one event a line; `jq -c . FILE` makes lines of pretty-printed JSON"
        )
    if text.startswith("<"):
        return FileKind("XML or HTML")
    first, *others = text.splitlines()[:3] or [""]
    if any(separator in first and all(separator in line for line in others[:1]) for separator in _SEPARATORS):
        return FileKind("CSV", "one JSON object a line is read")
    return FileKind("text without JSON", "one JSON object a line is read")
