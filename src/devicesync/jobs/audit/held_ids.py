"""The ids that the cache holds, in a file for each range of the database, so that a sweep of any size needs little memory.

They are gathered before the database is read. What the cache held then, the database must show later.
"""

import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from devicesync.cache.port import Cache
from devicesync.durable import begun_anew, opened


class Sample:
    """One in `one_in` devices, always the same ones."""

    def __init__(self, one_in: int) -> None:
        self._one_in = one_in

    def takes(self, device_id: str) -> bool:
        """Whether this device is one of them."""
        return self._one_in == 1 or zlib.crc32(device_id.encode()) % self._one_in == 0


def gather(
    cache: Cache, range_of: Callable[[str], int], directory: Path, ranges: set[int], advance: Callable[[int], None]
) -> None:
    """Write the ids of these ranges into the directory. Raises Unavailable; repeating is harmless.

    range_of: the number of an id's range.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as closing:
        files = {number: closing.enter_context(begun_anew(_file(directory, number))) for number in ranges}
        for ids in cache.scan():
            for device_id in ids:
                file = files.get(range_of(device_id))
                if file and "\n" not in device_id:
                    file.write(device_id.encode() + b"\n")
            advance(len(ids))


def gathered(directory: Path, number: int) -> set[str]:
    """The ids of one range; none where the cache was not scanned. Raises OSError for what is no file of ours."""
    with suppress(FileNotFoundError), opened(_file(directory, number)) as file:
        return {line.decode() for line in file.read().split(b"\n") if line}
    return set()


def _file(directory: Path, number: int) -> Path:
    return directory / f"held-{number}"
