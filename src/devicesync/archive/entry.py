"""What the manifest says of one file, and where the file lies by Secor's scheme.

    <prefix>/<topic>/dt=YYYY-MM-DD/<generation>_<partition>_<first offset>.parquet|jsonl.gz      dt: the first record's, UTC
    <prefix>/<topic>/_manifest/<generation>/<partition>/<first offset>.json                      the file's entry

Names beginning with _ are passed by by Hadoop, Spark and Athena, so their tables see the records only.
"""

import time
from typing import NamedTuple

import msgspec

from devicesync.log.port import Row

EXTENSIONS = {"parquet": "parquet", "jsonl": "jsonl.gz"}


class Origin(NamedTuple):
    """What a file is of: see Entry."""

    topic: str
    source: str
    generation: int
    partition: int


class Extra(msgspec.Struct, frozen=True):
    """A second file that belongs to the first."""

    path: str
    bytes: int
    sha256: str


class Entry(msgspec.Struct, frozen=True):
    """One file of the backup. It has every record of its partition with from_offset <= offset < next_offset.

    path: below the prefix. source: the log, as dead letters name it. first_offset: of the first record; from_offset is lower
    where the log has no records in between (compaction, markers of transactions).
    bytes, sha256: of the file. record_bytes: of keys, values and headers.
    first_ms, last_ms: the least and greatest timestamp, None without any. closed_ms: when the file was closed.
    rest: what JSON lines can't hold (jsonl.py).
    """

    path: str
    topic: str
    source: str
    generation: int
    partition: int
    from_offset: int
    first_offset: int
    next_offset: int
    records: int
    bytes: int
    sha256: str
    record_bytes: int
    first_ms: int | None
    last_ms: int | None
    closed_ms: int
    format: str
    rest: Extra | None = None

    @property
    def manifest_path(self) -> str:
        """Where this entry is kept."""
        return f"{partition_directory(self.topic, self.generation, self.partition)}/{self.first_offset}.json"

    @property
    def rest_path(self) -> str:
        """Where `rest` lies, if there is one."""
        return self.manifest_path.removesuffix(".json") + ".rest.parquet"

    @property
    def order(self) -> tuple[int, int, int]:
        """By generation, partition and offset."""
        return self.generation, self.partition, self.first_offset


def partition_directory(topic: str, generation: int, partition: int | str) -> str:
    """Where the entries of a partition are kept."""
    return f"{topic}/_manifest/{generation}/{partition}".rstrip("/")


def path_of(origin: Origin, first: Row, extension: str) -> str:
    """Where a file lies: a function of its first record, so that a second try has the same name."""
    day = time.strftime("%Y-%m-%d", time.gmtime((first[1] or 0) / 1000))
    return f"{origin.topic}/dt={day}/{origin.generation}_{origin.partition}_{first[0]}.{extension}"
