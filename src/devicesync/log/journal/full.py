"""The backup's side of the journal. Its reader is the only one of its name, so a claim needs nobody's consent."""

from collections.abc import Iterable, Mapping, Sequence

from devicesync.log.full import Claim, FullRecord, RebalanceListener
from devicesync.log.journal.bounds import bounds_of, left_from
from devicesync.log.journal.files import JournalFiles
from devicesync.log.journal.reader import JournalReader
from devicesync.log.port import Record


class JournalFullReader:
    """See full.FullReader. One partition, 0; records have neither keys nor headers."""

    has_log_time = True

    def __init__(self, files: JournalFiles, name: str, listener: RebalanceListener) -> None:
        self._files = files
        self._reader = JournalReader(files, name)
        self._listener = listener
        self._is_given = False

    def poll(self, max_records: int, timeout_seconds: float) -> dict[int, list[FullRecord]]:
        """See full.FullReader."""
        if not self._is_given:
            self._reader.rewind(self._listener.on_assigned(0, self._claimed()))
            self._is_given = True
        records = full_records_of(self._reader.poll(max_records, timeout_seconds))
        return {0: records} if records else {}

    def claim(self, claims: Mapping[int, Claim]) -> bool:
        """See full.FullReader."""
        for claim in claims.values():
            self._reader.commit_before(claim.start, claim.listing)
        return True

    def _claimed(self) -> Claim | None:
        """None where the position says no more than where the journal begins: nobody has claimed anything."""
        claimed, listing = self._files.read_position(self._reader.name), self._files.read_store(self._reader.name)
        if claimed is None or (not listing and claimed <= bounds_of(self._files)[0]):
            return None
        return Claim(self.identity(), claimed, None, listing=listing)

    def rewind(self, partition: int, offset: int) -> None:
        """See full.FullReader."""
        del partition
        self._reader.rewind(offset)

    def begin_anew(self, partition: int) -> None:
        """See full.FullReader."""
        del partition
        self._is_given = False

    def read_up_to(self, partition: int) -> int:
        """See full.FullReader."""
        del partition
        return self._reader.position

    def identity(self) -> str:
        """See full.FullReader."""
        return self._files.read_identity()

    def bounds(self, partition: int) -> tuple[int, int]:
        """See full.FullReader."""
        del partition
        return bounds_of(self._files)

    def firsts(self, partitions: Iterable[int]) -> dict[int, int]:
        """See full.FullReader."""
        del partitions
        return {}

    def left_from(self, partition: int, start: int, end: int) -> int:
        """See full.FullReader."""
        del partition
        return left_from(self._files, start, end)

    def is_whole(self) -> bool:
        """See full.FullReader."""
        return True

    def keep_alive(self) -> None:
        """See full.FullReader."""

    def caught_up(self) -> bool:
        """See full.FullReader."""
        return self._files.read_position(self._reader.name) == bounds_of(self._files)[1]

    def close(self) -> None:
        """See full.FullReader."""
        self._reader.close()


def full_records_of(records: Sequence[Record]) -> list[FullRecord]:
    """The journal's records with all that it keeps of them."""
    return [(record.offset, record.logged_ms, None, record.value, None) for record in records]
