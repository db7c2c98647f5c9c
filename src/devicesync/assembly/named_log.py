"""What the setting `log` names: this machine's journal, a log of another service to follow, or a topic that is shared."""

import stat
from contextlib import suppress
from pathlib import Path

import msgspec

from devicesync import data_directory
from devicesync.assembly.opening import split
from devicesync.config import Settings
from devicesync.errors import WrongUse
from devicesync.url import file_of, masked_wrong

_LOGS = ("journal:PATH", "follow:PATH", "kafka://HOST:PORT/TOPIC")


def is_shared(settings: Settings) -> bool:
    """Whether the log is one that any number of updaters on any machines read, rather than this machine's journal."""
    return split("log", settings.log, _LOGS)[0] == "kafka"


def is_plain_journal(settings: Settings) -> bool:
    """Whether `log` names a journal, rather than a log to follow or a shared one."""
    return split("log", settings.log, _LOGS)[0] == "journal"


def is_topic(url: str) -> bool:
    """Whether the URL is one of a Kafka topic, by its form."""
    return url.startswith("kafka://")


def topic_of(settings: Settings) -> str:
    """The log's name in a backup."""
    if not is_shared(settings):
        return journal_path(settings).name
    from devicesync.log.kafka import KafkaUrl  # noqa: PLC0415 - a journal needs none of it

    return KafkaUrl.parse(settings.log).topic


def journal_path(settings: Settings) -> Path:
    """Where the journal is that `log` names; for a followed log, the one that takes its lines. Raises WrongUse for a topic."""
    if followed_path(settings):
        return settings.directory / data_directory.JOURNAL
    scheme, rest = split("log", settings.log, _LOGS)
    if scheme != "journal":
        raise WrongUse(f"this needs a journal, and the log is {masked_wrong(settings.log)}", "set log to journal:PATH")
    return file_of(rest)


def followed_path(settings: Settings) -> Path | None:
    """The foreign log to follow: that of `follow:PATH`, or of `journal:PATH` where another service wrote the file."""
    scheme, rest = split("log", settings.log, _LOGS)
    path = file_of(rest)
    if scheme != "journal":
        return path if scheme == "follow" else None
    foreign = (
        _has_lines(path)
        and not path.with_name(path.name + ".times").exists()
        and path.parent.absolute() != settings.directory.absolute()
    )
    return path if foreign else None


def _has_lines(path: Path) -> bool:
    with suppress(FileNotFoundError):  # asked once: a rotation may move it meanwhile
        found = path.stat()
        return stat.S_ISREG(found.st_mode) and found.st_size > 0
    return False


def without_following(settings: Settings) -> Settings:
    """For commands that bring events in: they use the journal that takes a followed log's lines, but do not follow it."""
    if not followed_path(settings):
        return settings
    return msgspec.structs.replace(settings, log=f"journal:{journal_path(settings)}")


def journal_exists(settings: Settings) -> bool:
    """Whether the log is a journal that has been made yet."""
    if is_shared(settings):
        return False
    from devicesync.log.journal.files import JournalFiles  # noqa: PLC0415 - a topic needs none of it

    return JournalFiles(journal_path(settings)).exist()


def log_exists(settings: Settings) -> bool:
    """Whether the log has been made yet, as far as that can be seen without a connection."""
    return is_shared(settings) or journal_exists(settings)
