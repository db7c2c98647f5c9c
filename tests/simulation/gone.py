"""Which records may have left a backup, by a prune or a redact, and which must be in no file of it any more."""

import gzip
import io
from typing import TYPE_CHECKING, NamedTuple

import pyarrow.parquet as pq

from devicesync.archive.entry import Entry
from devicesync.law.state import State
from tests.simulation.lost import Place
from tests.simulation.scheduler import current

if TYPE_CHECKING:
    from tests.simulation.kafka_broker import Kept
    from tests.simulation.world import World


class Began(NamedTuple):
    """What was so when a redact began: how many objects had been put, and the records that were in files."""

    puts: int
    places: set[Place]


class Gone:
    """logged: every record that the log ever had. said: what the law makes of each, and of which device. `wrong` is told what is not."""

    def __init__(
        self, world: "World", logged: dict[Place, "Kept"], said: dict[Place, tuple[str, State]], wrong: list[str]
    ) -> None:
        self._world, self._logged, self._said, self._wrong = world, logged, said, wrong
        self._before_ms = 0
        self.redacted: set[str] = set()

    def prunes(self, before_ms: int) -> None:
        """See promises.Law."""
        self._before_ms = max(before_ms, self._before_ms)

    def redacts(self, name: str, places: set[Place]) -> Began:
        """See promises.Law. places: of the records that are in files."""
        self.redacted.add(name)
        return Began(self._world.backup.store.puts, places)

    def has_redacted(self, name: str, erased: int, unlisted: set[str], began: Began) -> None:
        """See promises.Law. unlisted: the redact has said that it did not look into these. What others have put since it began is of a redact that comes."""
        process = current()
        mine = process.name if process else ""
        store = self._world.backup.store
        values = {self._logged[place].value for place in began.places if self._is_redacted(place, name, erased)}
        values -= {
            record.value for place, record in self._logged.items() if not self._is_redacted(place, name, erased)
        }  # such as those whose version is their log's time
        for path, content in store.objects.items():
            if path.removeprefix("/backup/") in unlisted:
                continue
            number, by = store.put_by[path]
            if values and (number <= began.puts or by == mine) and (left := _values_in(path, content) & values):
                self._wrong.append(f"a redact of {name} has succeeded, and {path} has {left!r}")

    def may_be(self, place: Place, entries: list[Entry]) -> bool:
        """Whether this record may be in no file any more. entries: those of the files that it has been in."""
        stamp_ms = self._logged[place].stamp[1]
        if any(min(stamp_ms, entry.closed_ms) < self._before_ms for entry in entries):
            return True
        return any(self._is_redacted(place, name, self._erased(name)) for name in self.redacted)

    def _erased(self, name: str) -> int:
        return max((state.erased for device, state in self._said.values() if device == name), default=0)

    def _is_redacted(self, place: Place, name: str, erased: int) -> bool:
        if place in self._said:
            device, state = self._said[place]
            return device == name and not state.erased and state.profile_version <= erased
        record = self._logged[place]  # a refused one
        return (
            bool(erased)
            and b'"erase":true' not in (record.value or b"")
            and (record.key == name.encode() or f'"{name}"'.encode() in (record.value or b""))
        )


def _values_in(path: str, content: bytes) -> set[bytes | None]:
    if path.endswith(".jsonl.gz"):
        return {*gzip.decompress(content).splitlines()}
    if path.endswith(".parquet"):
        return {*pq.read_table(io.BytesIO(content), columns=["value"]).column("value").to_pylist()} - {None}
    return set()
