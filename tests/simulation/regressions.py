"""Histories that once failed, each as short as it got. What they show is told in DESIGN.md, "What the simulation found"."""

from devicesync.law.event import Event
from devicesync.law.facets import FIELDS
from tests.law.strategies import BASE_US
from tests.simulation.plan import Happening, Job, Plan, Settings, Turn


def _event(version: int, *, updated_on: int = 0, **values: str) -> Event:
    return Event("0", BASE_US + version, False, updated_on, 0, tuple(values.get(field) for field in FIELDS))  # noqa: FBT003


def _turns(processes: str) -> list[Turn]:
    return [Turn(int(number)) for number in processes]


def _backups(lines: list[tuple[int, Event | bytes]], *jobs: Job) -> Plan:
    return Plan(Settings(replicas=1, partitions=1, batch_records=10), 1, {}, lines, [*jobs])


_AT_ONCE, _WHEN_TOLD = (1, 0.3, "parquet", 1000), (1 << 20, 3600.0, "parquet", 1000)
_AT_150_BYTES = (150, 3600.0, "jsonl", 1000)
_A_MAP = '{"make":"1"}'
_DECLARED = _event(1400, user_declared_district="é")
_TIED = _event(1400, updated_on=1_900_000_000_000, user_declared_state="a")
_LATER = _event(3500, updated_on=1_900_000_000_000, user_declared_state="b")

HISTORIES: dict[str, tuple[Plan, list[Turn]]] = {
    "another job's map counts as of a newer registration": (
        Plan(
            Settings(replicas=1, partitions=1, release="4.1.3"),
            1,
            {0: _event(1050, updated_on=1_900_000_000_000, uaspec=_A_MAP)},
            [(0, _event(2100)), (0, _event(1400, uaspec='{"make":"2"}'))],
            [[("update", 3)]],
        ),
        [],
    ),
    "another job's map, held by the cache as a reader filled it": (
        Plan(
            Settings(replicas=1, partitions=1, release="4.1.3"),
            1,
            {0: _event(2801, uaspec=_A_MAP)},
            [],
            [[("update", 5)], [("append", [(0, _event(3500))])], [("read", 0), ("read", 0)]],
        ),
        [*_turns("112222220000"), Turn(2, "goes on", Happening("flush", 0)), *_turns("2222222")],
    ),
    "a stale tie is settled in the row, and hides what was declared since": (
        Plan(
            Settings(replicas=1, partitions=1, batch_records=10),
            1,
            {},
            [],
            [[("update", 7)], [("append", [(0, _LATER)])], [("append", [(0, _DECLARED)])], [("apply", [(0, _TIED)])]],
        ),
        _turns("201201000030003333333"),
    ),
    "a full disk: what was read before counts as kept": (
        _backups([(0, _event(0))], [("backup_all", _WHEN_TOLD)]),
        [Turn(0, "goes on", Happening("disk", 0)), *_turns("000000000000")],
    ),
    "a backup whose clock is behind the log's": (
        _backups([(0, _event(0))], [("backup_all", _AT_ONCE)]),
        [Turn(0, "goes on", Happening("clock", 6))],
    ),
    "a claimed range, whose first record the log loses before its file is listed": (
        _backups([(0, _event(0)), (0, _event(1400)), (0, _event(3500))], [("backup", _AT_150_BYTES)]),
        [
            *_turns("000000000"),
            Turn(0, "goes on", Happening("kick", 0)),
            *_turns("00"),
            Turn(0, "goes on", Happening("retain", 15)),
            *_turns("00000000"),
        ],
    ),
    "a redact of a registration with the erase's very version": (
        _backups(
            [(0, _event(0)), (0, Event("0", BASE_US, True, 0, 0, ()))],  # noqa: FBT003
            [("backup_all", _AT_ONCE), ("redact", 0)],
        ),
        [],
    ),
    "what a topic made anew has is in no file of the former one": (
        Plan(
            Settings(replicas=1, partitions=1, batch_records=10, has_lives=True),
            1,
            {},
            [],
            [[("backup", _AT_ONCE)], [("append", [(0, _event(0))])]],
        ),
        [*_turns("0" * 9), Turn(1), Turn(1, "goes on", Happening("anew", 1)), *_turns("0" * 30)],
    ),
    "a log that grows while its new owner asks the archive is no log made anew": (
        _backups([], [("backup", _AT_ONCE)], [("backup", _AT_ONCE)], [("append", [(0, _event(0))])]),
        [*_turns("11111"), Turn(2, "goes on", Happening("kick", 0)), *_turns("2"), *_turns("0" * 16), *_turns("1111")],
    ),
}
