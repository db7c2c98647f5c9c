"""What the manifest says of one file, and the file's path by Secor's scheme.

    <prefix>/<topic>/dt=YYYY-MM-DD/<generation>_<partition>_<first offset>.parquet|jsonl.gz      dt: its records' day, UTC
    <prefix>/_manifest/<topic>/<generation>/<partition>/<from offset>.json                       a range's entries (ranges.py)

Where a file's range begins before its first record, the name says that, too: <first offset>-<from offset>. So a file is of one
range, and no listing of another one can name it, whoever adds that.

Below <topic> there are only files of records, so any reader of such files can take that directory. Older archives have the
manifest in <topic>/_manifest, and one file for each range, under the day of its first record.
"""

from datetime import date, timedelta
from typing import Annotated, NamedTuple

import msgspec

from devicesync.log.full import OFFSET, TIMESTAMP_MS, FullRecord

_DAY_MS = 86_400_000
_FIRST_DAY = date(1970, 1, 1)
_LAST_DAY = (date.max - _FIRST_DAY).days
_LARGEST = (1 << 63) - 1
Natural = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]
_Stamp = Annotated[int, msgspec.Meta(ge=-_LARGEST - 1, le=_LARGEST)]
"""A producer may give a record a time before 1970."""
Partition = Annotated[int, msgspec.Meta(ge=0, lt=100_000)]
"""A restore into a topic makes as many."""
_Digest = Annotated[str, msgspec.Meta(max_length=64)]
_Source = Annotated[str, msgspec.Meta(max_length=4096)]
"""A topic, or a path, which has fewer bytes. A restore keeps it with each refused record."""
_Identity = Annotated[str, msgspec.Meta(max_length=256)]
"""A journal's identity has at most as many bytes (log/journal/files.py), a topic's 22."""
NUMBER, LARGE_NUMBER = "[0-9]{1,9}", "[0-9]{1,19}"
"""In the name of a file: a generation, a partition or a revision; an offset. None of ours has more digits."""
SPOT = f"{LARGE_NUMBER}(?:-{LARGE_NUMBER})?"
"""See spot_of."""
MOST_KILLED = 1000
"""Redacts of one range, one after the other, that were killed before they listed it. A number further on is no redact's."""
MOST_REDACTS = 1_000_000
"""Of one range, since a file that is still there, or has come back. So no listing takes all the numbers that there are."""
EXTENSIONS = {"parquet": "parquet", "jsonl": "jsonl.gz"}


class Origin(NamedTuple):
    """Whose records a file has: see Entry."""

    topic: str
    source: str
    generation: int
    partition: int
    identity: str = ""


class Extra(msgspec.Struct, frozen=True):
    """A second file that belongs to the first."""

    path: str
    bytes: Natural
    sha256: _Digest


class Entry(msgspec.Struct, frozen=True):
    """One file of the backup. It has the records of one day of a range of its partition: from_offset <= offset < next_offset.

    path: below the prefix. source: the log, as dead letters name it. first_offset: that of the file's first record.
    bytes, sha256: of the file. record_bytes: what its records count (partition_backup.sizes_of).
    first_ms, last_ms: the least and greatest timestamp, None without any. closed_ms: when the file was closed.
    follows: whether the backup has an earlier range of this partition; None in older archives, which do not say.
    rest: what JSON lines can't hold (jsonl.py).
    revision: of a file that was rewritten without an erased device's records: how often, and a name, such as 1-5f3a9c20. It may
    have fewer records than the log had on that day, or none.
    identity: that of the log, as its generation has it; "" in older archives, which do not say.
    """

    path: str
    topic: str
    source: _Source
    generation: Natural
    partition: Partition
    from_offset: Natural
    first_offset: Natural
    next_offset: Natural
    records: Natural
    bytes: Natural
    sha256: _Digest
    record_bytes: Natural
    first_ms: _Stamp | None
    last_ms: _Stamp | None
    closed_ms: Natural
    format: str
    rest: Extra | None = None
    revision: str = ""
    follows: bool | None = None
    identity: _Identity = ""

    @property
    def range(self) -> tuple[int, int, int]:
        """The file's range: generation, partition, and first offset of the range."""
        return self.generation, self.partition, self.from_offset

    @property
    def paths(self) -> tuple[str, ...]:
        """Of the file, and of its rest if it has one."""
        return (self.path, self.rest.path) if self.rest else (self.path,)

    @property
    def order(self) -> tuple[int, int, int]:
        """By generation, partition and offset."""
        return self.generation, self.partition, self.first_offset


def day_of(stamp_ms: int | None) -> int:
    """The day (UTC) of a time, counted from 1970. A time outside the calendar gets the nearest day."""
    return min(max((stamp_ms or 0) // _DAY_MS, 0), _LAST_DAY)


def spot_of(first_offset: int, from_offset: int) -> str:
    """What a file's name says of its offsets: that of its first record, and that of its range if this is another one."""
    return str(first_offset) if first_offset == from_offset else f"{first_offset}-{from_offset}"


def path_of(origin: Origin, first: FullRecord, from_offset: int, extension: str) -> str:
    """The file's path. It depends only on its range's beginning and its first record, so a second try has the same name."""
    day = _FIRST_DAY + timedelta(days=day_of(first[TIMESTAMP_MS]))
    return f"{origin.topic}/dt={day}/{origin.generation}_{origin.partition}_{spot_of(first[OFFSET], from_offset)}.{extension}"


def rest_path(entry: Entry) -> str:
    """The path of `rest`, if there is one."""
    name = ".".join(filter(None, (spot_of(entry.first_offset, entry.from_offset), entry.revision)))
    return f"_manifest/{entry.topic}/{entry.generation}/{entry.partition}/{name}.rest.parquet"


def number_of(revision: str) -> int:
    """How often a file of this revision was rewritten; 0 for never."""
    return int(revision.partition("-")[0] or 0)


def sharing(entries: list[Entry], texts: dict[str, str]) -> list[Entry]:
    """Return the same entries, with equal topics, sources and identities in memory once. `texts` gets those that it lacks.

    A stranger may add many listings, each with names of thousands of characters.
    """
    return [
        msgspec.structs.replace(
            entry,
            topic=texts.setdefault(entry.topic, entry.topic),
            source=texts.setdefault(entry.source, entry.source),
            identity=texts.setdefault(entry.identity, entry.identity),
        )
        for entry in entries
    ]


def revised(entry: Entry, revision: str) -> Entry:
    """The entry of the file that replaces this one, with its paths. The caller fills in the rest."""
    stem = entry.path.removesuffix(f".{EXTENSIONS[entry.format]}")
    stem = stem.removesuffix(f".{entry.revision}") if entry.revision else stem
    return msgspec.structs.replace(entry, revision=revision, path=f"{stem}.{revision}.{EXTENSIONS[entry.format]}")
