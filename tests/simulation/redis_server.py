"""A Redis: hashes that expire, are evicted, flushed, or lost again by a failover; and the scripts, run by Lua 5.1."""

from collections import deque
from collections.abc import Callable
from typing import Any

from tests.simulation.redis_lua import Script, compiled

Hash = dict[bytes, bytes]

_REMEMBERED = 100
_DENIED_WITHOUT_MEMORY = {b"HSET"}
OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'."


class ServerError(Exception):
    """What the server answers instead of a reply; its text begins with the kind of error."""


class RedisServer:
    """One primary. `now_ms` is its clock. is_full: out of memory under noeviction.

    changed: the keys that something happened to since whoever looks at them has cleared it.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.is_full = False
        self.changed: set[bytes] = set()
        self._hashes: dict[bytes, Hash] = {}
        self._expires: dict[bytes, float] = {}
        self._scripts: dict[str, Script] = {}
        self._before: deque[dict[bytes, tuple[Hash | None, float | None]]] = deque(maxlen=_REMEMBERED)
        self._dirty: dict[bytes, tuple[Hash | None, float | None]] = {}
        self._commands: dict[bytes, Callable[..., Any]] = {
            b"HGET": self._hget, b"HMGET": self._hmget, b"HGETALL": self._hgetall, b"HLEN": self._hlen,
            b"HSET": self._hset, b"HDEL": self._hdel, b"DEL": self._del, b"PEXPIRE": self._pexpire, b"PERSIST": self._persist,
            b"PTTL": self._pttl, b"SCAN": self._scan,
        }  # fmt: skip

    def keys(self) -> list[bytes]:
        """Every key that has not expired."""
        return [key for key in self._hashes if self._held(key) is not None]

    def load(self, text: str) -> str:
        """SCRIPT LOAD."""
        script = compiled(text)
        self._scripts[script.sha] = script
        return script.sha

    def evaluate(self, sha: str, keys: list[bytes], arguments: list[bytes]) -> Any:
        """EVALSHA. What it wrote is replicated as one. Raises ServerError."""
        script = self._scripts.get(sha)
        if script is None:
            raise ServerError("NOSCRIPT No matching script. Please use EVAL.")
        is_full = self.is_full

        def call(name: bytes, *given: bytes | float) -> Any:
            if is_full and not self._dirty and name in _DENIED_WITHOUT_MEMORY:
                raise ServerError(OUT_OF_MEMORY)
            return self._commands[name](*[each if isinstance(each, bytes) else b"%.17g" % each for each in given])

        try:
            return script.run(call, keys, arguments)
        finally:
            self._replicate()

    def command(self, name: str, *arguments: bytes) -> Any:
        """Any other command. Raises ServerError."""
        if self.is_full and name.encode() in _DENIED_WITHOUT_MEMORY:
            raise ServerError(OUT_OF_MEMORY)
        try:
            return self._commands[name.encode()](*arguments)
        finally:
            self._replicate()

    def evict(self, key: bytes) -> None:
        """The server drops a key, as when it is full or when its time has come."""
        self._del(key)
        self._replicate()

    def flush(self) -> None:
        """FLUSHALL, or a restart without a file."""
        for key in [*self._hashes]:
            self._del(key)
        self._replicate()
        self.forget_scripts()

    def forget_scripts(self) -> None:
        """SCRIPT FLUSH."""
        self._scripts.clear()

    def fail_over(self, lost_writes: int) -> None:
        """A replica that lacks the last writes becomes the primary; it knows no scripts."""
        for _ in range(min(lost_writes, len(self._before))):
            for key, (hash_, expires) in self._before.pop().items():
                self.changed.add(key)
                self._hashes.pop(key, None)
                self._expires.pop(key, None)
                if hash_ is not None:
                    self._hashes[key] = hash_
                if expires is not None:
                    self._expires[key] = expires
        self.forget_scripts()

    def expire(self) -> None:
        """Drop what has expired; else it goes when it is next touched, which nobody can tell from this."""
        for key in [*self._expires]:
            self._held(key)

    def _replicate(self) -> None:
        if self._dirty:
            self._before.append(self._dirty)
            self._dirty = {}

    def _held(self, key: bytes) -> Hash | None:
        expires = self._expires.get(key)
        if expires is not None and expires <= self.now_ms():
            self.changed.add(key)
            del self._hashes[key], self._expires[key]
        return self._hashes.get(key)

    def _touch(self, key: bytes) -> Hash | None:
        held = self._held(key)
        if key not in self._dirty:
            self._dirty[key] = (None if held is None else {**held}, self._expires.get(key))
            self.changed.add(key)
        return held

    def _hget(self, key: bytes, field: bytes) -> bytes | None:
        return (self._held(key) or {}).get(field)

    def _hmget(self, key: bytes, *fields: bytes) -> list[bytes | None]:
        held = self._held(key) or {}
        return [held.get(field) for field in fields]

    def _hgetall(self, key: bytes) -> Hash:
        return {**(self._held(key) or {})}

    def _hlen(self, key: bytes) -> int:
        return len(self._held(key) or {})

    def _hset(self, key: bytes, *pairs: bytes) -> int:
        held = self._touch(key)
        if held is None:
            held = self._hashes[key] = {}
        before = len(held)
        held.update(zip(pairs[::2], pairs[1::2], strict=True))
        return len(held) - before

    def _hdel(self, key: bytes, *fields: bytes) -> int:
        held = self._touch(key)
        if held is None:
            return 0
        gone = sum(held.pop(field, None) is not None for field in fields)
        if not held:
            self._del(key)
        return gone

    def _del(self, *keys: bytes) -> int:
        gone = 0
        for key in keys:
            if self._held(key) is not None:
                self._touch(key)
                del self._hashes[key]
                self._expires.pop(key, None)
                gone += 1
        return gone

    def _pexpire(self, key: bytes, after_ms: bytes) -> int:
        if self._touch(key) is None:
            return 0
        self._expires[key] = self.now_ms() + int(after_ms)
        return 1

    def _persist(self, key: bytes) -> int:
        if self._held(key) is None or key not in self._expires:
            return 0
        self._touch(key)
        del self._expires[key]
        return 1

    def _scan(self, cursor: bytes, *options: bytes) -> list[Any]:
        """All keys in one step."""
        del cursor, options
        return [b"0", self.keys()]

    def _pttl(self, key: bytes) -> int:
        if self._held(key) is None:
            return -2
        expires = self._expires.get(key)
        return -1 if expires is None else int(expires - self.now_ms())
