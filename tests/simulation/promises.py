"""What a history judges by: what readers see, and what jobs promise when they return."""

from typing import Any, Protocol

from devicesync.law.state import State


class Law(Protocol):
    """Judges what readers see and what writers have promised."""

    def keeps(self, changes: dict[str, State]) -> None:
        """Both stores have these: a job said so."""
        ...

    def sees(self, name: str, seen: State, began: Any) -> None:
        """A reader who began then saw this."""
        ...

    def begins(self, name: str) -> Any:
        """A reader begins to read."""
        ...

    def acknowledges(self, name: str, version: int, after: int | None) -> None:
        """A client was told that this version is in the log; one that the API gave must be greater than `after`."""
        ...

    def acknowledged(self) -> int:
        """The greatest version that an API gave and a client was told so far."""
        ...

    def has_caught_up(self, group: str) -> None:
        """A job of the group has returned, which works until the group has committed the whole log."""
        ...

    def has_backed_up(self, ends: list[int]) -> None:
        """A backup of all that there is has returned, and the log's partitions have these ends."""
        ...

    def prunes(self, before_ms: int) -> None:
        """Records that are older may leave the backup from now on."""
        ...

    def redacts(self, name: str) -> Any:
        """A redact of this device begins."""
        ...

    def has_redacted(self, name: str, erased: int, unlisted: set[str], began: Any) -> None:
        """The redact that began then has returned: what the device registered up to that version is in no file but these."""
        ...

    def logged(self) -> list[tuple[bytes, int]]:
        """The log's records, each with when it was taken in ms."""
        ...
