"""The data directory: every file in it, its format, and who works on it.

    format              the number of its format; an older devicesync refuses a newer one
    hold                locked by the one process that may update the embedded stores; says which command that is
    device-profile.log  the journal, with more files of that name (log/journal/files.py). Any process may append and read
    device-profile.db   the database (SQLite), written by the process that has the hold, read by any
    dead-letters.db     the refused records of a journal (SQLite), written and read by any process
    follow.json         how far a followed log was copied, written by the process that has the hold
    ship/, restore-topic/, restore-stores/, sweep/, rebuild/
                        their own holds: one of each of these commands at a time
    backup/, redact-spool/, verify-spool/, restore-spool/
                        files on their way, in a directory for each process; the next process removes what a killed one left
    restore/            the buckets of `restore --to-stores`, kept until it is done
    audit/              what `audit --sweep` has found so far, until it is done
    restore.json, restore-topic.json, rebuild.json, audit.json
                        how far these commands came: the same command goes on there, with the same database or topic

The directory has mode 0700 and every file 0600. At most one updater writes the embedded stores at a time. Its lock is released
by the system when the process ends, however it ends.
"""

import errno
import fcntl
import os
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from devicesync.durable import beginning_of, content_of, one_at_a_time, open_ours, replace
from devicesync.errors import Held, NewerData, Unavailable, WrongUse

FORMAT = 1

JOURNAL = "device-profile.log"
DATABASE = "device-profile.db"
DEAD_LETTERS = "dead-letters.db"
FOLLOWED = "follow.json"
SHIP, RESTORE_TOPIC, RESTORE_STORES, SWEEP, REBUILD = "ship", "restore-topic", "restore-stores", "sweep", "rebuild"
BACKUP_SPOOL, REDACT_SPOOL, VERIFY_SPOOL, RESTORE_SPOOL = "backup", "redact-spool", "verify-spool", "restore-spool"
BUCKETS = "restore"
AUDIT, AUDIT_PROGRESS = "audit", "audit.json"
RESTORE_PROGRESS, RESTORE_TOPIC_PROGRESS, REBUILD_PROGRESS = "restore.json", "restore-topic.json", "rebuild.json"
_FORMAT, HOLD = "format", "hold"
_FORMAT_DIGITS = 9
_SMALL_BYTES = 4096

_OWNER = "run as the user that owns it, or name another one with --data-dir"
_STRANGE = "move away what stands there, or name another one with --data-dir"
_FREE = "check its permissions and the disk's free space"
_NO_FILE = (errno.EINVAL, errno.ELOOP, errno.EISDIR)


class Holder(NamedTuple):
    """Who holds a data directory: the process id and the command ("up", "update", "apply", "erase")."""

    pid: int
    command: str

    @property
    def is_long_running(self) -> bool:
        """Whether the holder is an updater that runs for long, and takes what others append to its log."""
        return self.command in ("up", "update")


_decode_holder = msgspec.json.Decoder(Holder).decode


def prepare(data_dir: Path) -> None:
    """Make the data directory if need be, and check its format. Raises NewerData, WrongUse, Unavailable."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = format_of(data_dir) or _write_format(data_dir)
    except (FileExistsError, NotADirectoryError):
        raise WrongUse(f"{data_dir} is not a directory", "name another one with --data-dir") from None
    except OSError as error:
        there = error.filename or data_dir
        hint = _OWNER if isinstance(error, PermissionError) else _STRANGE if error.errno in _NO_FILE else _FREE
        raise Unavailable(f"can't use the data directory {data_dir}: {there}: {error.strerror}", hint) from error
    check_format(data_dir, found)


def check_format(data_dir: Path, found: str | None = None) -> None:
    """Raise NewerData if the directory was written by a newer devicesync; a missing one is fine."""
    if found is None:
        try:
            found = format_of(data_dir)
        except OSError:
            return
    if found and not (found.isascii() and found.isdecimal() and len(found) <= _FORMAT_DIGITS):
        raise WrongUse(
            f"{data_dir / _FORMAT} should hold a number, and holds {found[:20]!r}",
            f"if this is devicesync's data directory, write {FORMAT} into it; else name another one with --data-dir",
        )
    if found and int(found) > FORMAT:
        raise NewerData(
            f"{data_dir} has data of format {found[:20]!r}; this devicesync knows {FORMAT}",
            "upgrade devicesync, or name another --data-dir",
        )


def format_of(data_dir: Path) -> str:
    """What the directory says of its format, "" where it says nothing: it is new, or was being made when the power went.

    Raises OSError.
    """
    try:
        return beginning_of(data_dir / _FORMAT, _SMALL_BYTES).strip(b"\0 \r\n\t").decode("utf-8", "backslashreplace")
    except FileNotFoundError:
        return ""


def _write_format(data_dir: Path) -> str:
    """There whole or not at all, however many processes make the directory at once."""
    with one_at_a_time(data_dir):
        found = format_of(data_dir)
        if not found:
            replace(data_dir / _FORMAT, f"{FORMAT}\n".encode(), durable=True)
    return found or str(FORMAT)


class Hold:
    """The hold on a data directory, or on one in it that a command has for this; ends with `release` or with the process."""

    def __init__(self, data_dir: Path, command: str) -> None:
        """Take hold. Raises Unavailable, and Held at once when another process has it; `holder` then says who."""
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = open_ours(data_dir / HOLD, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise Unavailable(f"can't hold the data directory by {data_dir / HOLD}: {error.strerror}", _OWNER) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            who = holder(data_dir)
            raise Held(
                f"{data_dir} is held by " + (f"`devicesync {who.command}`, process {who.pid}" if who else "another process"),
                "stop that one first, or use another --data-dir",
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, msgspec.json.encode(Holder(os.getpid(), command)), 0)

    def __enter__(self) -> Self:
        """Return the hold."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        self.release()

    def release(self) -> None:
        """Let go."""
        os.close(self._file)


def holder(data_dir: Path) -> Holder | None:
    """Who wrote itself down as the holder last; it may be gone since."""
    try:
        return _decode_holder(content_of(data_dir / HOLD, _SMALL_BYTES))
    except (OSError, UnicodeError, msgspec.MsgspecError):
        return None
