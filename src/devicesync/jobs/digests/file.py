"""The file of a store's digests: what it says, and how it is written and read."""

import hashlib
import struct
from pathlib import Path

import msgspec

from devicesync.durable import beginning_of, content_of, replace
from devicesync.errors import Damaged, NewerData, WrongUse
from devicesync.jobs.digests.sums import DeviceDigest, Digests

CACHE, DATABASE, BACKUP = "cache", "database", "backup"
_MAGIC = b"devicesync digests "
_FORMAT = b"1\n"
_SHA_BYTES = 32
_MOST_BYTES = 1 << 30
_HEAD_BYTES = len(_MAGIC + _FORMAT) + _SHA_BYTES


class DigestFile(msgspec.Struct, frozen=True):
    """The digests of one store.

    of: CACHE, DATABASE or BACKUP. place: its URL, without a password; of a backup, with the log's name in it.
    as_of_ms: when the reading began; of a backup, the time where it ends. Later registrations may be missing.
    done: the parts of the store that are in it. is_whole: whether that is all of them.
    profiles, erased: as Digests.packed gives them.
    read_ms: of a backup, when it was read last; 0 in older files.
    buckets: the buckets that were read again. buckets_as_of_ms: as as_of_ms, of that reading. devices: every device in them.
    """

    of: str
    place: str
    as_of_ms: int
    done: list[str] = []
    is_whole: bool = False
    profiles: bytes = b""
    erased: bytes = b""
    buckets: list[int] = []
    buckets_as_of_ms: int = 0
    devices: list[DeviceDigest] = []
    read_ms: int = 0

    @property
    def digests(self) -> Digests:
        """The sums."""
        return Digests(self.profiles, self.erased)

    def with_digests(self, digests: Digests) -> "DigestFile":
        """The same with other sums."""
        profiles, erased = digests.packed
        return msgspec.structs.replace(self, profiles=profiles, erased=erased)


_decode_file = msgspec.msgpack.Decoder(DigestFile).decode


def save(path: Path, file: DigestFile) -> None:
    """Write it. Raises OSError; then an older file is still there."""
    replace(path, packed(file), durable=True)


def check_replaceable(path: Path) -> None:
    """Raise WrongUse where something is there that is no file of digests, sound or not."""
    try:
        is_ours = beginning_of(path, len(_MAGIC)) == _MAGIC
    except FileNotFoundError:
        return
    except OSError as error:
        raise WrongUse(f"can't replace {path}: {error.strerror}", "name another file") from error
    if not is_ours:
        raise WrongUse(f"{path} is there, and is no file of digests", "name another file, or remove it")


def load(path: Path) -> DigestFile:
    """Read it. Raises WrongUse where it is none, NewerData, Damaged."""
    try:
        content = content_of(path, _MOST_BYTES)
    except OSError as error:
        raise WrongUse(f"can't read {path}: {error.strerror}", "`devicesync digests make` makes it") from error
    return unpacked(content, str(path))


def packed(file: DigestFile) -> bytes:
    """The bytes of a file: what it is and its format, the SHA-256 of what follows, MessagePack."""
    body = msgspec.msgpack.encode(file)
    return _MAGIC + _FORMAT + hashlib.sha256(body).digest() + body


def unpacked(content: bytes, name: str) -> DigestFile:
    """What the bytes of a file of that name say. Raises as `load` does."""
    head, body = content[:_HEAD_BYTES], content[_HEAD_BYTES:]
    if not content.startswith(_MAGIC):
        raise WrongUse(f"{name} is no file of digests", "`devicesync digests make` makes one")
    if not content.startswith(_MAGIC + _FORMAT):
        raise NewerData(f"{name} has digests of a format that this devicesync does not know", "upgrade devicesync")
    if head[-_SHA_BYTES:] != hashlib.sha256(body).digest():
        raise Damaged(name, "does not have the bytes that were written", "copy it again, or make it anew")
    try:
        file = _decode_file(body)
        _ = file.digests
    except (msgspec.MsgspecError, struct.error) as error:
        raise Damaged(name, f"says what no file of digests says: {error}", "make it anew") from error
    return file


def load_whole(path: Path) -> DigestFile:
    """Read it. Raises WrongUse where it is none, or not of all of its store; NewerData."""
    file = load(path)
    if not file.is_whole:
        raise WrongUse(f"{path} is not whole", "the command that makes it goes on with it")
    return file
