"""The generations of a topic, each one life of its log. One begins with <prefix>/_manifest/<topic>/generation-<number>.json."""

import re
from contextlib import suppress
from itertools import count
from typing import NamedTuple

import msgspec

from devicesync.archive.entry import NUMBER, Natural, Partition
from devicesync.archive.ranges import ENTRY_BYTES
from devicesync.archive.storage import Storage
from devicesync.archive.trust import decoded
from devicesync.errors import Damaged

_GENERATION = re.compile(rf"(?:generation-)?({NUMBER})(?:\.json)?")


class Begin(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the file says.

    identity: that of the log. ended: up to which offset each partition of the generation before was in the backup then. What
    its processes had still open may follow. Older archives do not say.
    """

    identity: str
    ended: dict[Partition, Natural] = {}


class End(NamedTuple):
    """How far a generation had come when the next one began, as the file at `path` says.

    held: that file. It is decoded when it is used: anybody may have written many, with as many partitions as they have room for.
    """

    path: str
    generation: int
    held: bytes

    def next_offsets(self) -> dict[int, int]:
        """Up to which offset each partition was in the backup."""
        return begin_in(self.path, self.held).ended


_OF_BEGIN = msgspec.json.Decoder(Begin)


def begin_in(path: str, held: bytes) -> Begin:
    """Return what the file says. Raises Damaged, which names the path."""
    return decoded(path, held, _OF_BEGIN)


class Generations:
    """Those of a topic, by their files in the directory of its manifest."""

    def __init__(self, storage: Storage, directory: str) -> None:
        self._storage = storage
        self._directory = directory

    def generation_named(self, identity: str) -> int | None:
        """Return the last generation of the log with this identity. Raises Unavailable, Damaged."""
        return self._named(identity)[0] or None

    def identity(self, generation: int) -> str:
        """Return the identity of a generation's log; "" where its file is damaged, as `ends` says. Raises Unavailable."""
        with suppress(Damaged):
            return self._begun(generation).identity
        return ""

    def generations(self) -> set[int]:
        """Return the numbers of the generations that have a trace here. Raises Unavailable."""
        names = self._storage.names(self._directory)
        return {int(match[1]) for match in map(_GENERATION.fullmatch, names) if match}

    def ends(self, damaged: list[Damaged] | None = None) -> list[End]:
        """Return how far partitions had come in earlier generations. Read it before the entries: then these go as far or further.

        A file of a generation that can't be read or is missing goes to `damaged`, or is raised. Raises Unavailable, Damaged.
        """
        there = self.generations()
        gap = next(number for number in count(1) if number not in there)
        ends: list[End] = []
        for number in sorted(there | {gap} if gap < max(there, default=0) else there):
            try:
                path, held = self._held(number)
                if begin_in(path, held).ended:
                    ends.append(End(path, number - 1, held))
            except Damaged as damage:
                if damaged is None:
                    raise
                damaged.append(damage)
        return ends

    def _named(self, identity: str) -> tuple[int, int]:
        newest = max(self.generations(), default=0)
        found = 0
        for number in range(1, newest + 1):
            if self._begun(number).identity == identity:
                found = number
        return found, newest

    def _begun(self, number: int) -> Begin:
        return begin_in(*self._held(number))

    def _held(self, number: int) -> tuple[str, bytes]:
        """The path of a generation's file, and the file."""
        path = f"{self._directory}/generation-{number}.json"
        held = self._storage.read_bytes(path, ENTRY_BYTES)
        if held is None:
            raise Damaged(path, "is missing")
        return path, held
