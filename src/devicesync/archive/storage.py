"""Where a backup is: a directory, or any object store that fsspec reaches by a URL (s3://bucket/prefix, gs://…)."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devicesync.durable import content_of, replace, replacing
from devicesync.errors import Damaged, Unavailable, WrongUse
from devicesync.extras import require
from devicesync.url import masked_place, secrets_in

_LOCAL = "file"
_OURS_ALONE = 0o700
_FORM = "a directory, or a URL of fsspec: s3:// needs the extra devicesync[s3]"
_HINT = "check that the place can be reached, its credentials, and its free space"
_NO_FILE = {errno.EINVAL, errno.EISDIR, errno.EFBIG}
"""What opening and reading says of a pipe, a device, a directory, and of more bytes than are read."""
_NO_PLACE = {errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG}
"""What it says of a link to itself, of a file where a directory should be, and of a name that no file has."""
_LINK_HINT = "nothing is removed there; put the directory itself in the link's place"
# A store that does not answer is our patience's matter, which says so; the library would try for ten minutes in silence.
_OPTIONS = {"s3": {"config_kwargs": {"connect_timeout": 5, "read_timeout": 10, "retries": {"max_attempts": 1}}}}


class Storage:
    """Files by their path below the storage's URL. Safe for threads. A file is there as a whole, or not at all.

    url: without its secrets. In a directory, only this user can read and write what we make.
    """

    def __init__(self, url: str) -> None:
        """Raises WrongUse for a URL of an unknown kind, or whose library is not installed. Raises Unavailable."""
        from fsspec.core import url_to_fs  # noqa: PLC0415 - its import costs 50 ms

        if not url:
            raise WrongUse("a backup's place has a name", _FORM)
        if url.startswith("s3:"):
            require("s3")
        self._secrets = secrets_in(url)
        self.url = masked_place(url)
        try:
            # What other processes put there must be seen at once.
            options = _OPTIONS.get(url.partition(":")[0], {})
            self._files, self._root = url_to_fs(url, use_listings_cache=False, skip_instance_cache=True, **options)
            if options:
                self._files.retries = 1
        except (ValueError, TypeError, ImportError) as error:
            raise WrongUse(f"can't use {self.url}: {self._shown(str(error))}", _FORM) from None
        except Exception as error:  # some kinds connect at once
            raise Unavailable(f"can't reach {self.url}: {self._shown(str(error))}", _HINT) from error
        self._is_local = _LOCAL in (self._files.protocol, *self._files.protocol)

    def put(self, here: Path, path: str) -> None:
        """Upload the local file, and replace what is there. It is durable when this returns. Raises Unavailable."""
        with self._failures("write", path):
            if self._is_local:
                with replacing(self._local(path), durable=True) as beside:
                    shutil.copyfile(here, beside)
            else:
                self._files.put_file(str(here), self._path(path))

    def put_bytes(self, path: str, data: bytes) -> None:
        """Make a file of these bytes. It is durable when this returns. Raises Unavailable."""
        with self._failures("write", path):
            if self._is_local:
                replace(self._local(path), data, durable=True)
            else:
                self._files.pipe_file(self._path(path), data)

    def read_bytes(self, path: str, most_bytes: int) -> bytes | None:
        """Return the file's bytes; None without the file. Raises Unavailable, and Damaged for what can't be one of ours."""
        with self._failures("read", path):
            try:
                if self._is_local:  # opened once: it may be replaced at any time
                    return content_of(Path(self._path(path)), most_bytes)
                found = self._files.info(self._path(path))
                if found["type"] == "file" and found["size"] <= most_bytes:
                    return bytes(self._files.cat_file(self._path(path)))
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno not in _NO_FILE:
                    raise
        raise Damaged(path, f"is no file, or has more than {most_bytes:,} bytes")

    def fetch(self, path: str, into: Path) -> Path | None:
        """Return a local file with the same bytes: `into`, or the file itself. None without the file. Raises Unavailable.

        A pipe, a device or a directory does not count as a file, because its content may have no end.
        """
        with self._failures("read", path):
            if self._is_local:
                here = Path(self._path(path))
                return here if here.is_file() else None
            try:
                self._files.get_file(self._path(path), str(into))
            except FileNotFoundError:
                return None
            return into

    def size(self, path: str) -> int | None:
        """Return the file's size in bytes; None without the file. Raises Unavailable."""
        with self._failures("read", path):
            try:
                return int(self._files.info(self._path(path))["size"])
            except FileNotFoundError:
                return None

    def names(self, directory: str) -> list[str]:
        """Return the names directly in a directory, in order; none where there is no directory. Raises Unavailable."""
        with self._failures("list", directory):
            try:
                found = self._files.ls(self._path(directory), detail=False)
            except FileNotFoundError:
                return []
            except OSError as error:
                if error.errno not in _NO_PLACE:
                    raise
                return []
            names = {str(name).rstrip("/").rpartition("/")[2] for name in found}
            return sorted(names)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there. Raises Unavailable, and Damaged where a link in the path leads out of our directory."""
        if self._is_local and not _real(Path(self._path(path)).parent).is_relative_to(_real(Path(self._root))):
            raise Damaged(path, "lies behind a link that leads out of the backup", _LINK_HINT)
        with self._failures("remove", path):
            try:
                self._files.rm_file(self._path(path))
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno not in _NO_PLACE:
                    raise

    def _path(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}".rstrip("/")

    def _local(self, path: str) -> Path:
        target = Path(self._path(path))
        for directory in reversed(target.parents):
            directory.mkdir(_OURS_ALONE, exist_ok=True)
        return target

    def _shown(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "=***" if secret.startswith("=") else "***")
        return text

    @contextmanager
    def _failures(self, what: str, path: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if what == "read" and isinstance(error, OSError) and error.errno in _NO_PLACE:
                raise Damaged(path, f"can't be read: {error.strerror}") from error
            raise Unavailable(
                f"can't {what} {self.url.rstrip('/')}/{path}: {self._shown(str(error)) or type(error).__name__}",
                _HINT,
            ) from error


def _real(path: Path) -> Path:
    """Behind all links, as far as they lead: `resolve` raises RuntimeError for one that leads to itself."""
    return Path(os.path.realpath(path))
