"""Mistakes of one line, planted into the real code: each must be found within a number of seeds.

`python -m tests.simulation.planted` prints for each by which seed it is found. Each runs in a process of its own, which loads the code
with the mistake in it.
"""

import importlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
from collections.abc import Sequence
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tests.simulation.planted_backup import OF_BACKUPS, Mistake
from tests.simulation.planted_logs import OF_LOGS

_LOADED = (
    *("hypothesis", "redis", "confluent_kafka", "cassandra.metadata", "lupa.lua51", "structlog", "sqlite3", "greenlet"),
    *("pyarrow.parquet", "fsspec.implementations.memory"),
)
SOURCE = Path(__file__).parents[2] / "src" / "devicesync"


_STORES, _ROWS, _LUA = "stores.py", "database/cassandra/rows.py", "cache/merge.lua"
_COMMIT = "self._patience.until_it_works(self._reader.commit)"


MISTAKES = (
    Mistake(
        "commit before the database has it",
        "jobs/update.py",
        "folded = self._batch.fold(records)",
        f"{_COMMIT}; folded = self._batch.fold(records)",
    ),
    Mistake(
        "a batch that is still being written is committed with the one before it",
        "jobs/update.py",
        "self._reader.commit, len(self._under_way) + but_last)",
        "self._reader.commit)",
    ),
    Mistake(
        "what cannot be written is passed by",
        "database/cassandra/driver.py",
        "            raise outcome\n",
        "            return []\n",
    ),
    Mistake("arrival order wins", _LUA, "local take = version > held_version and", "local take = version > 0 and"),
    Mistake("a tie decided by arrival", _LUA, "if version == held_version and version > erased then", "if false then"),
    Mistake(
        "the database is not told of a union that is no value",
        _LUA,
        "if adds and (FROM[facet] < TO[facet] or not values[before + FROM[facet]])",
        "if adds and FROM[facet] < TO[facet]",
        range(760, 820),
    ),
    Mistake("the minimum taken as maximum", _LUA, "return math.min(one, other)", "return math.max(one, other)"),
    Mistake(
        "a fill counts whenever it comes",
        _LUA,
        "or redis.pcall('HGET', tickets, key) ~= ticket then return nil",
        "then return nil",
    ),
    Mistake(
        "erase without a timestamp", _ROWS, "Call(schema.ERASE, (erased, device_id))", "Call(schema.ERASE, (2**51, device_id))"
    ),
    Mistake(
        "the greater minimum has the greater stamp",
        "database/cassandra/stamps.py",
        "_MINIMUM - _STEP * (value_ms + 1)",
        "_MINIMUM + value_ms",
    ),
    Mistake(
        "a tombstone forgotten on eviction",
        "database/cassandra/database.py",
        "state_of_row(row, erasure, self._dialect)",
        "state_of_row(row, NO_ERASURE, self._dialect)",
    ),
    Mistake(
        "fill from the event alone",
        "stores_plan.py",
        "plan.entries[device_id] = join(known, change)",
        "plan.entries[device_id] = change",
    ),
    Mistake(
        "the cache first",
        _STORES,
        "        self.database.merge(new | whole)\n",
        "        self.cache.merge(entries, looked.tickets); self.database.merge(new | whole)\n",
    ),
    Mistake(
        "restore writes the cache first",
        "jobs/restore/prove.py",
        "            stores.restore(some)\n",
        "            stores.cache.merge(some, stores.cache.look(some).tickets); stores.restore(some)\n",
        range(100, 300),
    ),
    Mistake(
        "a reader is told what the cache did not take",
        _STORES,
        "dict.fromkeys(stored.unsettled, False)).missing:",
        "{}) is None:",
        range(400, 500),
    ),
    Mistake(
        "one version is written once",
        "law/news.py",
        "mine[0] >= theirs[0] and mine[0] > erased",
        "mine[0] > theirs[0] and mine[0] > erased",
        range(180, 380),
    ),
    Mistake(
        "refused records are passed by",
        "jobs/update.py",
        "self._patience.until_it_works(self._dead_letters.add, folded.dead)",
        "None",
    ),
    Mistake("a revoke ignored", "log/kafka/member.py", "        self._on_revoked(gone)\n", "", range(380, 480)),
    Mistake(
        "the ledger is told of an erase after the row",
        "database/cassandra/database.py",
        "{device_id: erase_of(device_id, change) for device_id, change in changes.items()},\n            {device_id: row_of(device_id, change, self._dialect) for device_id, change in changes.items()},",
        "{device_id: row_of(device_id, change, self._dialect) for device_id, change in changes.items()},\n            {device_id: erase_of(device_id, change) for device_id, change in changes.items()},",
    ),
    Mistake(
        "what was tried again leaves the dead letters, refused or not",
        "jobs/replay.py",
        "[letter_id for letter_id, _, _ in valid])",
        "[letter.id for letter in batch])",
        range(7, 127, 12),
    ),
    *OF_BACKUPS,
    *OF_LOGS,
)


class Planter(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):  # type: ignore[misc]
    """Loads one module of the code with a mistake in it."""

    def __init__(self, mistake: Mistake) -> None:
        path = SOURCE / mistake.file
        name = "devicesync." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        importlib.machinery.SourceFileLoader.__init__(self, name, str(path))
        self._mistake = mistake

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See importlib."""
        del path, target
        return spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        """See importlib."""
        del fullname
        return compile(_planted(self._mistake), self.path, "exec")


def _planted(mistake: Mistake) -> str:
    text = (SOURCE / mistake.file).read_text()
    if text.count(mistake.right) != 1:
        raise ValueError(f"{mistake.file} has it {text.count(mistake.right)} times: {mistake.right}")
    return text.replace(mistake.right, mistake.wrong)


def found_by(mistake: Mistake) -> int | None:
    """The first seed that finds it; None where none does. For a process that has not loaded the code yet."""
    if mistake.file.endswith(".py"):
        sys.meta_path.insert(0, Planter(mistake))
    search, history = (importlib.import_module(f"tests.simulation.{name}") for name in ("search", "history"))
    if mistake.file.endswith(".lua"):
        cache: Any = importlib.import_module("devicesync.cache.redis")
        right, wrong = (SOURCE / mistake.file).read_text(), _planted(mistake)
        cache.MERGE = cache.MERGE.replace(right, wrong)
    importlib.import_module("structlog").configure(
        wrapper_class=importlib.import_module("structlog").make_filtering_bound_logger(50)
    )
    for seed in mistake.seeds:
        try:
            if search.wrong(seed, mistake.about):
                return seed
        except history.Stuck:
            return seed
    return None


def search(mistakes: Sequence[Mistake]) -> dict[str, int | None]:
    """By mistake the seed that finds it. Each in a child of this process, which has loaded what others wrote."""
    for name in _LOADED:
        importlib.import_module(name)
    return {mistake.name: _in_a_child(mistake) for mistake in mistakes}


def _in_a_child(mistake: Mistake) -> int | None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.write(writing, json.dumps(found_by(mistake)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return json.loads(told) if told else None


if __name__ == "__main__":
    chosen = [mistake for mistake in MISTAKES if not sys.argv[1:] or mistake.name in sys.argv[1:]]
    for mistake in chosen:
        _planted(mistake)  # raises where the code has changed, and the mistake can no longer be made so
        name, seed = mistake.name, search([mistake])[mistake.name]
        print(json.dumps([name, seed]), flush=True)
