"""Files that are there whole or not at all, and names that a loss of power does not undo."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OURS_ALONE = 0o600


def replace(path: Path, content: bytes, *, durable: bool) -> None:
    """Make the file, or put it over the one that is there. See `replacing`."""
    with replacing(path, durable=durable) as beside:
        beside.write_bytes(content)


@contextmanager
def replacing(path: Path, *, durable: bool) -> Iterator[Path]:
    """A name in the same directory to write to, for this user alone. At the end it becomes `path`.

    Whoever reads `path` gets the old file or the new one whole, also when a writer is killed.
    durable: the new file is on the disk at the end, and so is its name. If not, a loss of power may bring back the old file, or
        leave an empty one.

    Raises OSError. Then the old file is still there.
    """
    _remove_left(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OURS_ALONE))
        yield beside
        if durable:
            _sync(beside)
        beside.rename(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in it durable: what was made, renamed or removed. Raises OSError."""
    _sync(directory)


def _remove_left(path: Path) -> None:
    """Remove what killed writers left. One that is still alive fails to rename it, and writes it again."""
    prefix = f".{path.name}."
    for left in path.parent.iterdir():
        if left.name.startswith(prefix) and left.name.removeprefix(prefix).isdigit():
            left.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
