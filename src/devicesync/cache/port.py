"""The cache: what telemetry jobs read. It may forget devices at any time; it never holds half of one."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from devicesync.law.state import State


class Merged(NamedTuple):
    """What a merge learnt.

    known: of each device held, what a database that writes blindly must be told: the change, joined with what the cache
        holds of the erase, and with the minima `first_access` and `user_declared_on`, of a device once erased the live
        version too. Minima that the database has already may be left out.
    missing: the devices that the cache does not hold; nothing was written for them.
    unsaved: the devices of `known` whose minima the database may not have yet; tell `saved` when it has.
    """

    known: dict[str, State]
    missing: list[str]
    unsaved: list[str]


class Advice(NamedTuple):
    """Something that works, but not as well as it could: what, and what to do."""

    detail: str
    hint: str


class Cache(Protocol):
    """Safe for several processes at once, where the cache itself is shared by them."""

    def merge(self, changes: Mapping[str, State], *, create: bool = False) -> Merged:
        """Join each change into what is held of its device, atomically per device, so that nothing newer is ever lost.

        create: also take in devices not held. Only for states that contain everything the database knows: an event
            alone would make a half-filled entry.

        Readable when it returns. Raises Unavailable: then any part may have been written, and repeating is harmless.
        """
        ...

    def saved(self, states: Mapping[str, State]) -> None:
        """The database has the minima of these states now: no need to hand them out again. Raises Unavailable.

        Never calling it is harmless: the minima are then written again with every change.
        """
        ...

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """What is held of these devices; devices not held are left out. Raises Unavailable."""
        ...

    def check(self) -> None:
        """Raise Unavailable, saying what is wrong, unless the cache can be used."""
        ...

    def advice(self) -> list[Advice]:
        """What should be set differently. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
