"""The begin of a generation, one life of a log: <prefix>/_manifest/<topic>/generation-<number>.json."""

from typing import NamedTuple

import msgspec

from devicesync.archive.trust import decoded


class Begin(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the file says.

    identity: that of the log. ended: up to which offset each partition of the generation before was in the backup then. What
    its processes had still open may follow. Older archives do not say.
    """

    identity: str
    ended: dict[int, int] = {}


class End(NamedTuple):
    """Up to which offset a partition of a generation was in the backup when the next one began, as the file at `path` says."""

    path: str
    generation: int
    partition: int
    next_offset: int


_OF_BEGIN = msgspec.json.Decoder(Begin)


def begin_in(path: str, held: bytes) -> Begin:
    """Return what the file says. Raises Damaged, which names the path."""
    return decoded(path, held, _OF_BEGIN)
