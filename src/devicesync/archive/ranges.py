"""A range: consecutive records of a partition that are listed at once. It has a file for each of their days.

<prefix>/_manifest/<topic>/<generation>/<partition>/<from offset>.json               its entries
<prefix>/_manifest/<topic>/<generation>/<partition>/<from offset>.<revision>.json    its entries after a redact
<prefix>/_manifest/<topic>/<generation>/<partition>/<from offset>.erasures.json      the range is pruned; its erasures

Where several are there, listed.py says which count.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from devicesync.archive.entry import EXTENSIONS, LARGE_NUMBER, NUMBER, Entry, rest_path, sharing, spot_of
from devicesync.archive.trust import decoded
from devicesync.durable import begun_anew
from devicesync.errors import Damaged, WrongUse
from devicesync.printable import encodable

ENTRY = ".json"
ERASURES = ".erasures.json"
MOST_DAYS = 16
"""A range ends before it has records of more days, for each has a file open."""
ENTRY_BYTES, ERASURES_BYTES = 1 << 20, 128 << 20
"""Of a file, at most. A range's entries have some 600 bytes for each of its days. An erasure has fewer than its record."""
_PIECE, _LAST_BYTES = 10_000, 120
"""Erasures at a time; what stands between and after them and the entries."""
_TOO_MANY = "nothing is lost: its range stays, and those after it; a smaller --max-file-bytes makes smaller ranges"
_ERASURE = re.compile(rb'[{,]\s*+("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*+:\s*+(-?[0-9]{1,19})\s*+')
_OF_ANOTHER = (
    "if a stranger added that listing, remove it, and no file; one that a devicesync of before 2026-12 wrote is not read any "
    "more: keep that backup, and begin another one elsewhere while the log has its records"
)
_NAME_DIGITS = 32
_MOST_VERSION = (1 << 63) - 1
_END = re.compile(rb"\{?\s*\}")
_NAME = re.compile(rf"({LARGE_NUMBER})(?:\.({NUMBER})-[0-9a-f]{{8}})?(\.erasures)?\.json")


class _Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a pruned range: its entries, and for each device erased in it the version of the highest erase, in µs.

    sha256: of the two.
    """

    erased: msgspec.Raw
    entries: msgspec.Raw
    sha256: str

    def digest(self) -> str:
        """What `sha256` has to be."""
        digest = hashlib.sha256(self.erased)
        digest.update(self.entries)
        return digest.hexdigest()


class Pruned(NamedTuple):
    """A pruned range, as it is read: its entries, and its erasures, which are decoded one by one. They may be millions.

    erasures: how many they are.
    """

    entries: list[Entry]
    path: str
    raw: msgspec.Raw
    erasures: int = 0

    def erased(self) -> Iterator[tuple[str, int]]:
        """Yield each erased device, and the version of its highest erase, in µs. Raises Damaged, which names the file."""
        end = 0
        for match in _ERASURE.finditer(self.raw):
            version = int(match[2])
            if match.start() != end or not -_MOST_VERSION <= version <= _MOST_VERSION:
                break
            end = match.end()
            yield decoded(self.path, match[1], _OF_ID), version
        if not _END.fullmatch(self.raw, end):
            raise Damaged(self.path, "can't be read: an erasure is an id and a version")


_OF_ENTRIES = msgspec.json.Decoder(list[Entry])
_OF_KEPT = msgspec.json.Decoder(_Kept)
_OF_ID = msgspec.json.Decoder(str)


def by_range(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Return the entries of each range, in order."""
    ranges: defaultdict[tuple[int, int, int], list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: entry.order):
        ranges[entry.range].append(entry)
    return [ranges[name] for name in sorted(ranges)]


def revisions_in(entries: Iterable[Entry]) -> int:
    """How many ranges were written anew, as a redact does. A topic's ranges may have the numbers of another's."""
    return len({(entry.topic, *entry.range) for entry in entries if entry.revision})


def counting(names: list[str]) -> dict[int, str]:
    """The offsets of the ranges with entries in a partition's directory, each with the name of those of the last revision."""
    best: dict[int, tuple[int, str]] = {}
    for name, match in zip(names, map(_NAME.fullmatch, names), strict=True):
        if match and not match[3]:
            rank = int(match[2] or 0), name
            best[int(match[1])] = max(rank, best.get(int(match[1]), rank))
    return {offset: name for offset, (_, name) in best.items()}


def erasures_in(names: list[str]) -> dict[int, str]:
    """The offsets of the ranges that have erasures in a partition's directory, each with their name."""
    return {int(match[1]): match[0] for match in filter(None, map(_NAME.fullmatch, names)) if match[3]}


def range_of(name: str) -> int | None:
    """Where the range begins whose entries a file of that name in a partition's directory has, or had; None for other files."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match and not match[3] else None


def revised_path(path: str, entries: list[Entry]) -> str:
    """Where the entries lie that take the place of those at `path`."""
    return f"{path.removesuffix(ENTRY)}.{entries[0].revision}{ENTRY}"


def listing_path(entries: list[Entry], ending: str) -> str:
    """The path of a range's file."""
    first = entries[0]
    return f"_manifest/{first.topic}/{first.generation}/{first.partition}/{first.from_offset}{ending}"


def places_of(ranges: Iterable[list[Entry]]) -> dict[str, set[int | None]]:
    """The directories where entries of these ranges lie, each with what `range_of` says of them there."""
    places: defaultdict[str, set[int | None]] = defaultdict(set)
    for entries in ranges:
        directory, _, name = listing_path(entries, ENTRY).rpartition("/")
        places[directory].add(range_of(name))
    return places


def named(place: str, entries: list[Entry]) -> str:
    """What names a listed range in a claim (full.Claim.listing): where it lies, and what its files are. No entries: no range.

    The place counts too: whoever may read a range may copy it to another one. A process that was stopped, and then lists the
    range again, changes only when its files were closed.
    """
    files = [
        (entry.path, entry.from_offset, entry.next_offset, entry.sha256, entry.rest.sha256 if entry.rest else "")
        for entry in sorted(entries, key=lambda entry: entry.order)
    ]
    return hashlib.sha256(msgspec.json.encode([encodable(place), *files])).hexdigest()[:_NAME_DIGITS]


def entries_in(path: str, held: bytes) -> list[Entry]:
    """Return a range's entries. Raises Damaged, which names the path."""
    return _placed_entries(path, held, ENTRY)


def write_erasures(here: Path, erased: Iterable[tuple[str, int]], entries: list[Entry]) -> None:
    """Make the local file that `pruned_in` reads, some thousand erasures at a time. Each device comes once.

    Raises OSError, and WrongUse where that would not read so many.
    """
    listed, digest = msgspec.json.encode(entries), hashlib.sha256()
    left = ERASURES_BYTES - _LAST_BYTES - len(listed)
    with begun_anew(here) as file:
        file.write(b'{"erased":')
        for piece in _pieces(iter(erased)):
            left -= len(piece)
            if left < 0:
                told = f"{listing_path(entries, ERASURES)} would have more than {ERASURES_BYTES:,} bytes"
                raise WrongUse(f"{told}, and could not be read again", _TOO_MANY)
            digest.update(piece)
            file.write(piece)
        digest.update(listed)
        file.write(b',"entries":%b,"sha256":"%b"}' % (listed, digest.hexdigest().encode()))


def _pieces(erased: Iterator[tuple[str, int]]) -> Iterator[bytes]:
    """The bytes of one JSON object."""
    before = b"{"
    while some := dict(islice(erased, _PIECE)):
        yield before + msgspec.json.encode(some)[1:-1]
        before = b","
    yield b"}" if before == b"," else b"{}"


def pruned_in(path: str, held: bytes) -> Pruned:
    """Return what is kept of a pruned range. Raises Damaged, which names the path."""
    kept = decoded(path, held, _OF_KEPT)
    entries = bytes(kept.entries)
    if len(entries) > ENTRY_BYTES:
        raise Damaged(path, f"has entries of more than {ENTRY_BYTES:,} bytes")
    if kept.sha256 != kept.digest():
        raise Damaged(path, "is not what was written: its checksum differs")
    pruned = Pruned(_placed_entries(path, entries, ERASURES), path, kept.erased)
    return pruned._replace(erasures=sum(1 for _ in pruned.erased()))  # a damaged one is named before any of them is used


def _placed_entries(path: str, held: bytes, ending: str) -> list[Entry]:
    entries = sharing(decoded(path, held, _OF_ENTRIES), {})
    _placed(path, entries, ending)
    return entries


def _placed(path: str, entries: list[Entry], ending: str) -> None:
    """Raise Damaged unless these entries are of one range, belong at `path`, and name only files of their own.

    All have the revision that the path has, and the range's beginning in their names, so no two listings name the same file.
    """
    if not entries or path != place_of(entries, ending):
        raise Damaged(path, "is not of the range that its name says")
    if len(entries) > MOST_DAYS:
        raise Damaged(path, f"has {len(entries):,} files, where a range has {MOST_DAYS} at most")
    shared = {(*each.range, each.topic, each.source, each.next_offset, each.identity, each.revision) for each in entries}
    if len(shared) > 1 or len({entry.order for entry in entries}) < len(entries):
        raise Damaged(path, "is of several ranges, logs or revisions")
    for entry in entries:
        if not _names_its_own(entry):
            raise Damaged(path, "names files that are not its own", _OF_ANOTHER)
        least, most = 0 if entry.revision else 1, entry.next_offset - entry.first_offset
        if not entry.from_offset <= entry.first_offset < entry.next_offset or not least <= entry.records <= most:
            raise Damaged(path, "has offsets or a count that no file can have")


def place_of(entries: list[Entry], ending: str) -> str:
    """The path of a range's entries, or of its erasures. Entries of a revision have a path of their own."""
    path = listing_path(entries, ending)
    return revised_path(path, entries) if ending == ENTRY and entries[0].revision else path


def _names_its_own(entry: Entry) -> bool:
    extension = re.escape(EXTENSIONS.get(entry.format, "/"))
    if not re.fullmatch(rf"({NUMBER}-[0-9a-f]{{8}})?", entry.revision) or entry.revision.startswith("0"):
        return False
    revision = rf"\.{entry.revision}" if entry.revision else ""
    name = rf"{entry.generation}_{entry.partition}_{spot_of(entry.first_offset, entry.from_offset)}{revision}\.{extension}"
    own = re.fullmatch(rf"{re.escape(entry.topic)}/dt=[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}/{name}", entry.path)
    return bool(own) and (entry.format == "parquet" if entry.rest is None else entry.rest.path == rest_path(entry))
