"""Reads Parquet files in a process of its own, so that one which ends the process fails a test, and not the tests.

Each line that it gets is a file's name. Its answer is a line: "refused: " and why, or a digest of the rows.
"""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from devicesync.archive.parquet_reading import read_parquet
from devicesync.archive.room import Room
from devicesync.log.full import FullRecord


class ReadingProcess:
    """Answers what a file has."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def answer(self, path: Path) -> str:
        """Raises AssertionError when the file ended the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"reading ended the process: {self._process.wait()}"
        return answer.rstrip("\n")


@contextmanager
def reading_process() -> Iterator[ReadingProcess]:
    """Start it; it ends with the block."""
    with subprocess.Popen([sys.executable, "-m", __name__], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield ReadingProcess(process)
        finally:
            process.kill()


def digest(rows: list[FullRecord]) -> str:
    """The answer for a file that has these rows."""
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def _answer(path: Path) -> str:
    try:
        return digest([row for rows in read_parquet(path, Room()) for row in rows])
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"refused: {error!r}"


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(_answer(Path(line.rstrip("\n"))) + "\n")
        sys.stdout.flush()
