"""Everything that devicesync raises on purpose.

DevicesyncError
├── WrongUse          a setting, flag or argument is wrong                     exit status 2
├── Unavailable       a log or store can't be reached or can't take writes     exit status 3; jobs retry it
├── Held              another process works on this data directory             exit status 3
├── Replaced          a file or topic was taken away under a running process   exit status 3; starting again mends it
├── NewerData         the data was written by a newer devicesync               exit status 3
├── Damaged           a file of a backup is missing or not what was written    exit status 1
└── TooManyBad        nearly every record is refused, so the job stopped       exit status 3

Stopped is apart: it was asked for. A command ends with 130 then, unless it is one that runs until it is stopped.
law.Refused is apart: it says why one event is bad, and never ends a job.
"""


class DevicesyncError(Exception):
    """What went wrong, in one sentence, and `hint`: what to do about it (may be empty)."""

    exit_status = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class WrongUse(DevicesyncError):
    """The caller has to change something: a setting, a flag, an argument."""

    exit_status = 2


class Unavailable(DevicesyncError):
    """A log, cache or database can't do its work now. Nothing was half acknowledged; the same call may be repeated."""


class Held(DevicesyncError):
    """Another process holds the data directory."""


class Replaced(DevicesyncError):
    """A file or topic was deleted, emptied, replaced by another, or written by others too, while this process worked with it."""


class NewerData(DevicesyncError):
    """The data on disk has a format that this version does not know."""


HINT_OF_DAMAGED = "`devicesync backup verify` finds every such file; a copy of it, put there, mends it"


class Damaged(DevicesyncError):
    """A file of a backup, or of digests, is missing or not what was written. `path`: which one; below the backup's prefix."""

    exit_status = 1

    def __init__(self, path: str, problem: str = "", hint: str = "") -> None:
        super().__init__(f"{path} {problem}".rstrip(), hint or HINT_OF_DAMAGED)
        self.path = path
        self.problem = problem


class TooManyBad(DevicesyncError):
    """The share of refused records reached its limit."""


class Stopped(Exception):
    """The job was asked to stop while it waited. The message, if any, says what that leaves."""
