"""A store that speaks S3, and may lie: what it answers has a bound, in bytes and in time."""

from typing import Any

from aiobotocore.httpsession import AIOHTTPSession

from devicesync.clock import SYSTEM

_ANSWER_BYTES = 4 << 20
"""Of an answer that is no object's content. The largest page of a listing has 3.5 MB: 1,000 names of 1,024 bytes, quoted."""
_PIECE_BYTES = 64 << 10
_NAMES_BYTES = 256 << 20
_NAME_BYTES = 100
"""What a name takes in memory beside its text."""
_ERROR_STATUS = 300
SHORTEST_SECONDS = 60.0
_BYTES_A_SECOND = 32 << 10
_NAMES_A_SECOND = 100


class BoundedSession(AIOHTTPSession):  # type: ignore[misc] # it has no types
    """Reads no more of an answer than its bound. The client would read the whole of it, however long."""

    async def send(self, request: Any) -> Any:
        """Send the request. Raises OSError for an answer that is too long, and the client's own errors."""
        is_content, request.stream_output = request.stream_output, True
        response = await super().send(request)
        if not is_content or response.status_code >= _ERROR_STATUS:
            response._content = await _bounded(response.raw)  # noqa: SLF001 - where the client keeps what it has read
        return response


# A store that does not answer is our patience's matter, which says so; the library would try for ten minutes in silence.
OPTIONS = {
    "config_kwargs": {
        "connect_timeout": 5,
        "read_timeout": 10,
        "retries": {"max_attempts": 1},
        "http_session_cls": BoundedSession,
    }
}


def bound(files: Any) -> None:
    """Let the client try once, and read a file in one go: of each part it would read whatever the store sends."""
    files.retries = 1
    files.max_concurrency = 1


def seconds_for(size: int) -> float:
    """How long a call may take that moves so many bytes: a minute, and a second more for each 32 KiB."""
    return SHORTEST_SECONDS + size / _BYTES_A_SECOND


def names_in(files: Any, path: str) -> set[str]:
    """Return the names directly in a directory. A listing may take a minute, and a second more for each 100 names.

    Raises FileNotFoundError without the bucket, and OSError where it takes longer, repeats itself, has too many names, or is no
    listing: of a proxy's page the client would make an empty one.
    """
    bucket, key, _ = files.split_path(path)
    asked = {"Bucket": bucket, "Prefix": f"{key}/" if key else "", "Delimiter": "/"}
    names: set[str] = set()
    size, began = 0, SYSTEM.monotonic()
    while True:
        left_seconds = SHORTEST_SECONDS + len(names) / _NAMES_A_SECOND - (SYSTEM.monotonic() - began)
        if left_seconds <= 0:
            raise TimeoutError("its listing takes too long")
        page = files.call_s3("list_objects_v2", **asked, timeout=left_seconds)
        if "IsTruncated" not in page:  # S3's API has it in each page
            raise OSError("its answer is no listing")
        found = _names_of(page, asked["Prefix"])
        new = found - names
        names |= new
        size += sum(len(name) + _NAME_BYTES for name in new)
        if size > _NAMES_BYTES:
            raise OSError(f"its listing has more than {len(names):,} names")
        if not page["IsTruncated"]:
            return names
        if found and not new:
            raise OSError("its listing repeats its pages")
        asked["ContinuationToken"] = page.get("NextContinuationToken", "")


def _names_of(page: dict[str, Any], prefix: str) -> set[str]:
    paths = [*(each["Prefix"] for each in page.get("CommonPrefixes", ())), *(each["Key"] for each in page.get("Contents", ()))]
    return {path.removeprefix(prefix).rstrip("/") for path in paths} - {""}


async def _bounded(answer: Any) -> bytes:
    pieces, size = [], 0
    try:
        while size <= _ANSWER_BYTES and (piece := await answer.content.read(_PIECE_BYTES)):
            pieces.append(piece)
            size += len(piece)
    except BaseException:
        answer.close()
        raise
    if size > _ANSWER_BYTES:
        answer.close()
        raise OSError(f"its answer has more than {_ANSWER_BYTES:,} bytes")
    return b"".join(pieces)
