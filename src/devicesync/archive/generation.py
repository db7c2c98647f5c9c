"""The begin of a generation, one life of a log: <prefix>/_manifest/<topic>/generation-<number>.json."""

from typing import NamedTuple

import msgspec

from devicesync.archive.entry import Natural, Partition
from devicesync.archive.trust import decoded


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
