"""How far the readers of the log are behind, whatever log it is."""

# ruff: noqa: PLC0415 - only the log in use is loaded

from devicesync.assembly import named_log
from devicesync.config import Settings
from devicesync.log.port import Lag


def lag_of(settings: Settings, reader: str) -> Lag:
    """How far the reader of that name is behind, seen from outside. Raises Unavailable."""
    if named_log.is_shared(settings):
        from devicesync.log.kafka import KafkaUrl, group_of
        from devicesync.log.kafka.lag import group_lag

        return group_lag(KafkaUrl.parse(settings.log), group_of(settings.group, reader))
    from devicesync.log.journal.files import JournalFiles
    from devicesync.log.journal.lag import reader_lag

    return reader_lag(JournalFiles(named_log.journal_path(settings)), reader)
