"""What `doctor` finds out about the log: whether it can be used, how far its readers are behind, and what was refused."""

# ruff: noqa: PLC0415 - only the adapter in use is loaded

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from devicesync.assembly import adapters, named_log
from devicesync.assembly.doctor.finding import INIT, Finding
from devicesync.assembly.lag import lag_of
from devicesync.config import Settings
from devicesync.durable import beginning_of
from devicesync.errors import Unavailable
from devicesync.log.gone import Gone
from devicesync.log.leaderless import named
from devicesync.log.port import Lag
from devicesync.url import masked

if TYPE_CHECKING:
    from devicesync.database.port import Database

_UPDATER = "updater"
_START = "start `devicesync up` or `devicesync update`"


def check_journal(settings: Settings) -> Iterator[Finding]:
    """The journal, what it follows, and its readers. Raises Unavailable."""
    from devicesync.log.journal.files import JournalFiles, naming_failures
    from devicesync.log.journal.lag import check_segments, overtaken, reader_lag

    followed = named_log.followed_path(settings)
    if followed:
        with naming_failures("follow", followed):
            beginning_of(followed, 1)
        yield Finding("log", "ok", f"follows {followed}")
    path = named_log.journal_path(settings)
    files = JournalFiles(path)
    if not files.exist():
        raise Unavailable(f"there is no journal {path}", INIT)
    if files.identity.exists():  # what an older release has left gets one when it is written to
        files.read_identity()
    check_segments(files)
    positions = files.positions()
    lags = {name: reader_lag(files, name) for name in positions}
    readers = ", ".join(f"{name} at record {position}, {told(lags[name])}" for name, position in sorted(positions.items()))
    yield Finding("log", "ok", f"{path}: {readers or 'no readers yet'}")
    lag = lags.get(_UPDATER) or reader_lag(files, _UPDATER)
    yield from _gone(overtaken(files, _UPDATER), "the journal", "the updater", "look what removes its segments")
    if lag.records and not lag.is_read:
        yield Finding("log", "warning", f"nobody takes {lag.records:,} records into the stores", _START)
    if adapters.dead_letters_path(settings).exists():
        with closing(adapters.open_dead_letters(settings, read_only=True)) as letters:
            total, _ = letters.find(limit=0)
        if total:
            yield _dead_letters(f"{total:,} refused records")


def check_topic(settings: Settings) -> Iterator[Finding]:
    """The topic, the group that reads it, and its dead letters. Raises Unavailable."""
    from devicesync.log.kafka import KafkaUrl
    from devicesync.log.kafka.admin import DEAD_LETTER_SUFFIX, differences
    from devicesync.log.kafka.lag import record_count
    from devicesync.log.kafka.overtaken import overtaken
    from devicesync.log.kafka.transactions import HINT, LONG_SECONDS

    place = KafkaUrl.parse(settings.log)
    told_apart = differences(place, settings.partitions, settings.dead_letter_retention_seconds)
    yield from _leaderless(settings)
    lag = lag_of(settings, _UPDATER)
    yield Finding("log", "ok", f"{masked(settings.log)}: group {settings.group} is {told(lag)}")
    if lag.held and lag.seconds >= LONG_SECONDS:
        detail = f"{lag.held:,} records lie behind a transaction that a producer has not ended: no reader gets them until then"
        yield Finding("log", "warning", detail, HINT)
    yield from _gone(
        overtaken(place, settings.group), "the topic", f"the group {settings.group}", "let the topic keep records for longer"
    )
    for difference in told_apart:
        yield Finding("log", "warning", difference, "kafka-configs.sh or kafka-topics.sh --alter changes it")
    if not lag.is_read:
        yield Finding("log", "warning", f"nobody reads as group {settings.group}", "start `devicesync update`")
    failed = place.topic + DEAD_LETTER_SUFFIX
    if total := record_count(msgspec.structs.replace(place, topic=failed)):
        # Its grants let a checkup count offsets; which of the records are still listed only a reader of all of them knows.
        yield _dead_letters(f"{total:,} records in {failed}: refused ones, and marks of those that were replayed or deleted")


def check_store(settings: Settings, database: "Database") -> Iterator[Finding]:
    """Whether the database has what the group has applied of the topic. Raises Unavailable."""
    from devicesync.log.kafka import KafkaUrl
    from devicesync.log.kafka.applied import LACKS_HINT, lacks

    for detail in lacks(KafkaUrl.parse(settings.log), settings.group, database):
        yield Finding("database", "warning", detail, LACKS_HINT)


def _leaderless(settings: Settings) -> Iterator[Finding]:
    with closing(adapters.open_log(settings)) as log:
        found = log.partitions()
    if found.leaderless:
        away = f"{named(found.leaderless)}. Their devices wait"
        detail = f"partitions of {masked(settings.log)} without a leader, of {found.total}: {away}"
        yield Finding("log", "failed", detail, "bring back the brokers that hold their replicas; all other devices go on")


def _gone(gone: Gone, log: str, reader: str, advice: str) -> Iterator[Finding]:
    if gone.unread:
        yield Finding(
            "log",
            "warning",
            f"{gone.unread:,} records were gone from {log} before {reader} read them",
            f"a backup has them: `devicesync restore --to-stores`; {advice}",
        )
    if gone.unknown:
        yield Finding(
            "log",
            "warning",
            f"{reader} has no position in {log}, whose first {gone.unknown:,} records are gone: nobody knows whether they "
            "were applied",
            f"if {reader} is new, all is well; else a backup has what it missed: `devicesync restore --to-stores`",
        )


def told(lag: Lag) -> str:
    """A lag in words."""
    return f"{lag.records:,} records behind, {lag.seconds:,.1f} s" if lag.records else "0 records behind"


def _dead_letters(detail: str) -> Finding:
    return Finding("dead letters", "warning", detail, "`devicesync dead-letters list`")
