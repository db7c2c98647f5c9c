"""The log of one machine: a file. Start with journal.py."""

from devicesync.log.journal.journal import Journal
from devicesync.log.journal.reader import JournalReader

__all__ = ["Journal", "JournalReader"]
