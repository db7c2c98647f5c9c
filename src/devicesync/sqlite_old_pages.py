"""The old pages of a SQLite file: it and its write-ahead log have what was deleted, until that log is emptied."""

from pathlib import Path


def tell_that_they_stay(path: Path) -> None:
    """Log it: the write-ahead log of this file could not be emptied, for another process reads the file."""
    import structlog  # noqa: PLC0415 - who only reads has nothing to tell, and is to be quick

    structlog.get_logger("devicesync").warning(
        "what was deleted is still in the file: another process reads it",
        path=str(path),
        hint="it goes when a command next opens the file to write; or run this one again, when the other has ended",
    )
