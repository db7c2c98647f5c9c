"""Where a backup is: a directory, or any object store that fsspec reaches by a URL (s3://bucket/prefix, gs://…)."""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from devicesync.clock import SYSTEM
from devicesync.durable import content_of, create, replace, replacing, too_large
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
_DONE = {"read": ("read", ""), "write": ("written", "something else stands in its way: take that away, and start again")}
_LATE = "no whole answer came in time"
_LINK_HINT = "nothing is removed there; put the directory itself in the link's place"
_S3 = ("s3:", "s3a:")
_MOMENT_SECONDS = 1.0
"""How long two who make the same file may be apart, where the store makes no difference between a new file and a replaced one."""


def _is_cut_short(url: str) -> bool:
    """Whether this would be a directory, and is more likely a URL without its slashes: it may have a password."""
    from fsspec.registry import known_implementations  # noqa: PLC0415 - its import costs 50 ms

    if "://" in url or url.startswith(("/", ".", "~")):
        return False
    scheme, colon, rest = url.strip().lower().partition(":")
    return bool(colon) and (scheme in known_implementations or "@" in rest)


class Storage:
    """Files by their path below the storage's URL. Safe for threads. A file is there as a whole, or not at all.

    url: without its secrets. place: the same in one form; of a directory its path behind all links. is_local: whether it is a
    directory. There only this user can read and write what we make. A store may send what it likes: of a file no more is read
    than was asked for. What a store that speaks S3 answers has an end in time too: see s3.py.
    """

    def __init__(self, url: str) -> None:
        """Raises WrongUse for a URL of an unknown kind, or whose library is not installed. Raises Unavailable."""
        from fsspec.core import url_to_fs  # noqa: PLC0415 - its import costs 50 ms

        if not url:
            raise WrongUse("a backup's place has a name", _FORM)
        if _is_cut_short(url):
            raise WrongUse("a backup's place begins like a URL, and lacks a slash", "write SCHEME://…, or ./ before a directory")
        options: dict[str, Any] = {}
        self._s3: Any = None
        if url.startswith(_S3):
            require("s3")
            from devicesync.archive import s3  # noqa: PLC0415 - an extra

            self._s3, options = s3, s3.OPTIONS
        self._secrets = secrets_in(url)
        self.url = masked_place(url)
        try:
            # What other processes put there must be seen at once.
            self._files, self._root = url_to_fs(url, use_listings_cache=False, skip_instance_cache=True, **options)
            if self._s3:
                self._s3.bound(self._files)
        except (ValueError, TypeError, ImportError) as error:
            raise WrongUse(f"can't use {self.url}: {self._shown(str(error))}", _FORM) from None
        except Exception as error:  # some kinds connect at once
            raise Unavailable(f"can't reach {self.url}: {self._shown(str(error))}", _HINT) from error
        self.is_local = _LOCAL in (self._files.protocol, *self._files.protocol)
        self.place = os.path.realpath(self._root) if self.is_local else self.url.rstrip("/")

    def put(self, here: Path, path: str) -> None:
        """Upload the local file, and replace what is there. It is durable when this returns. Raises Unavailable, Damaged."""
        with self._failures("write", path):
            if self.is_local:
                with replacing(self._local(path), durable=True) as beside:
                    shutil.copyfile(here, beside)
            else:
                self._call(self._files.put_file, str(here), self._path(path), size=here.stat().st_size)

    def put_bytes(self, path: str, data: bytes) -> None:
        """Make a file of these bytes. It is durable when this returns. Raises Unavailable, Damaged where none can be made."""
        with self._failures("write", path):
            if self.is_local:
                replace(self._local(path), data, durable=True)
            else:
                self._call(self._files.pipe_file, self._path(path), data, size=len(data))

    def create(self, path: str, data: bytes) -> None:
        """Make a file of these bytes, durably, unless one is there: that stays. Read afterwards whose it is.

        Some stores put ours over another's all the same. So in a store this takes a moment more, and the last one stays.
        Raises Unavailable, Damaged.
        """
        with self._failures("write", path):
            if not self.is_local:
                self._create_in_store(path, data)
            elif not create(self._local(path), data) and self.size(path) is None:
                replace(self._local(path), data, durable=True)
                SYSTEM.sleep(_MOMENT_SECONDS)

    def read_bytes(self, path: str, most_bytes: int) -> bytes | None:
        """Return the file's bytes; None without the file. Raises Unavailable, and Damaged for what can't be one of ours."""
        with self._failures("read", path, most_bytes):
            try:
                if self.is_local:  # opened once: it may be replaced at any time
                    return content_of(Path(self._path(path)), most_bytes)
                with TemporaryDirectory() as directory:
                    return self._copied(path, Path(directory) / "file", most_bytes).read_bytes()
            except FileNotFoundError:
                return None

    def fetch(self, path: str, into: Path, most_bytes: int) -> Path | None:
        """Return a local file with the same bytes: `into`, or the file itself. None without the file.

        A pipe, a device or a directory does not count as a file, because its content may have no end.
        Raises Unavailable, and Damaged where a store sends more bytes than that.
        """
        with self._failures("read", path, most_bytes):
            if self.is_local:
                here = Path(self._path(path))
                return here if here.is_file() else None
            try:
                return self._copied(path, into, most_bytes)
            except FileNotFoundError:
                return None

    def size(self, path: str) -> int | None:
        """Return the file's size in bytes; None without the file. Raises Unavailable."""
        with self._failures("read", path):
            try:
                return int(self._call(self._files.info, self._path(path))["size"])
            except FileNotFoundError:
                return None

    def is_untouched(self, path: str, seconds: float) -> bool:
        """Whether the file is there, and nobody has written to it for so long; in a store it is always. Raises Unavailable."""
        with self._failures("read", path):
            try:
                return not self.is_local or SYSTEM.now_ms() - Path(self._path(path)).stat().st_mtime * 1000 >= seconds * 1000
            except FileNotFoundError:
                return False

    def names(self, directory: str) -> list[str]:
        """Return the names directly in a directory, in order; none where there is no directory. Raises Unavailable."""
        with self._failures("list", directory):
            try:
                found = self._listed(self._path(directory))
            except OSError as error:
                if not _is_absent(error):
                    raise
                return []
            names = {name.rstrip("/").rpartition("/")[2] for name in found}
            return sorted(names)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there. Raises Unavailable, and Damaged where a link in the path leads out of our directory."""
        if self.is_local and not _real(Path(self._path(path)).parent).is_relative_to(_real(Path(self._root))):
            raise Damaged(path, "lies behind a link that leads out of the backup", _LINK_HINT)
        with self._failures("remove", path):
            try:
                self._call(self._files.rm_file, self._path(path))
            except OSError as error:
                if not _is_absent(error):
                    raise

    def _create_in_store(self, path: str, data: bytes) -> None:
        try:
            self._call(self._files.pipe_file, self._path(path), data, mode="create", size=len(data))
        except Exception as error:  # each kind says in its own way that a file is there
            if self.size(path) is not None:
                return
            if getattr(error, "errno", None) != errno.ENOSYS:
                raise
            self._call(self._files.pipe_file, self._path(path), data, size=len(data))
        SYSTEM.sleep(_MOMENT_SECONDS)

    def _copied(self, path: str, into: Path, most_bytes: int) -> Path:
        """Copy a store's file. Raises OSError as soon as more has come, which is after one of the client's pieces at most."""
        from fsspec.callbacks import Callback  # noqa: PLC0415 - as above

        def check(size: int | None, value: int, **_: Any) -> None:
            if max(size or 0, value) > most_bytes:
                raise too_large(into, most_bytes)

        self._call(self._files.get_file, self._path(path), str(into), callback=Callback(hooks={"check": check}), size=most_bytes)
        return into

    def _listed(self, path: str) -> Iterable[str]:
        return self._s3.names_in(self._files, path) if self._s3 else map(str, self._files.ls(path, detail=False))

    def _call(self, call: Callable[..., Any], *arguments: Any, size: int = 0, **named: Any) -> Any:
        """Call the client, for as long as so many bytes may take."""
        limit = {"timeout": self._s3.seconds_for(size)} if self._s3 else {}
        return call(*arguments, **named, **limit)

    def _path(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}".rstrip("/")

    def _local(self, path: str) -> Path:
        target = Path(self._path(path))
        for directory in reversed(target.parents):
            try:
                directory.mkdir(_OURS_ALONE, exist_ok=True)
            except FileExistsError:
                if not stat.S_ISDIR(directory.stat().st_mode):  # a link to a disk that is away is waited for
                    raise OSError(errno.ENOTDIR, f"{directory} is no directory") from None
        return target

    def _shown(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "=***" if secret.startswith("=") else "***")
        return text

    @contextmanager
    def _failures(self, what: str, path: str, most_bytes: int | None = None) -> Iterator[None]:
        """Raise Unavailable, or Damaged, for what the body raises. most_bytes: what it reads of a file."""
        try:
            yield
        except Exception as error:
            if most_bytes is not None and isinstance(error, OSError) and error.errno in _NO_FILE:
                raise Damaged(path, f"is no file, or has more than {most_bytes:,} bytes") from error
            if what in _DONE and isinstance(error, OSError) and error.errno in _NO_PLACE:
                done, hint = _DONE[what]
                raise Damaged(path, f"can't be {done}: {error.strerror}", hint) from error
            told = str(error) or (_LATE if isinstance(error, TimeoutError) else type(error).__name__)
            raise Unavailable(f"can't {what} {self.url.rstrip('/')}/{path}: {self._shown(told)}", _HINT) from error


def _is_absent(error: OSError) -> bool:
    """Whether it says that nothing is there. A store's own FileNotFoundError may have no number."""
    return isinstance(error, FileNotFoundError) or error.errno in _NO_PLACE


def _real(path: Path) -> Path:
    """Behind all links, as far as they lead: `resolve` raises RuntimeError for one that leads to itself."""
    return Path(os.path.realpath(path))
