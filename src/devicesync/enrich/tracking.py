"""Hearing of changes: Redis' client-side caching in broadcast mode, over connections of its own, one to each server.

Broadcast mode, because the server then keeps nothing per key, and tells of a device before anybody has read it: an unknown one
is known the moment it registers. One thread a server listens; it asks for the server's role again and again. Replies keep their
order among the messages of changes, so when a reply is here, all that changed before it was asked has been heard of:
`proven_at` is that time. A server that is silent for too long, that is no primary any more, or that Redis names no longer is
given up: then everything is forgotten, and nothing is remembered until all servers are heard again.

Once a second a heartbeat key is written, where this user may write, and has to be heard of as changed: so a proxy or a server
that keeps such messages back is found out.
"""

import logging
import threading
from typing import Any

from devicesync.cache.redis_connect import Connections, Server
from devicesync.clock import SYSTEM
from devicesync.enrich.lookup import FAILURES
from devicesync.enrich.near_cache import NearCache
from devicesync.errors import Unavailable

BEAT_SECONDS = 0.02
_LOOK_SECONDS = 1.0
_HEARTBEAT_MS = 60_000
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.05, 2.0
_CHANGED = b"invalidate"
_log = logging.getLogger("devicesync")


class Tracking:
    """Keeps `near` open while all servers are heard, from `start` to `stop`. max_age_seconds: the longest silence."""

    def __init__(self, connections: Connections, near: NearCache, *, max_age_seconds: float) -> None:
        self._connections = connections
        self._near = near
        self._max_age_seconds = max_age_seconds
        self._ears: list[_Ear] = []
        self._stopping = threading.Event()
        self._over = threading.Event()
        self.opened = threading.Event()
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)

    @property
    def proven_at(self) -> float:
        """All that changed before this time, of Clock.monotonic, has been heard of, while the near cache is open."""
        return min((ear.proven_at for ear in self._ears), default=0.0)

    @property
    def servers(self) -> frozenset[str]:
        """The names of the servers that are heard."""
        return frozenset(ear.server.name for ear in self._ears)

    def start(self) -> None:
        """Begin to listen; `opened` is set when everything is heard."""
        self._thread.start()

    def stop(self) -> None:
        """Give back the connections."""
        self._stopping.set()
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait_seconds = _FIRST_WAIT_SECONDS
        while not self._stopping.is_set():
            try:
                self._listen()
            except (*FAILURES, Unavailable) as error:
                if self.opened.is_set():
                    wait_seconds = _FIRST_WAIT_SECONDS
                    self._end()
                    self.lost += 1  # who sees it counted sees `opened` clear
                    _log.warning("changes are not heard, so nothing is remembered: %s", error)
            finally:
                self._end()
            self._stopping.wait(wait_seconds)
            wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)

    def _end(self) -> None:
        self._near.close()
        self.opened.clear()
        self._ears = []

    def _listen(self) -> None:
        """Until something is wrong, which is raised, or `stop`."""
        servers = self._connections.servers()
        ears: list[_Ear] = []
        over = self._over = threading.Event()
        try:
            for server in servers:
                ears.append(_Ear(server, self._near, self._max_age_seconds, over))  # noqa: PERF401 - those made have to be closed
            self._ears = ears
            self._near.open()
            for ear in ears:
                ear.start()
            self.opened.set()
            names = self.servers
            while not over.wait(_LOOK_SECONDS) and not self._stopping.is_set():
                if {server.name for server in self._connections.servers()} != names:
                    self._connections.refresh()
                    raise Unavailable("the cache's servers are others now")
            for ear in ears:
                if ear.error is not None:
                    raise ear.error
        finally:
            self._near.close()  # at once, while the ears are still closing
            over.set()
            for ear in ears:
                ear.close()


class _Ear:
    """Listens to one server in a thread of its own. When it fails it says so in `error`, and sets `over`."""

    def __init__(self, server: Server, near: NearCache, max_age_seconds: float, over: threading.Event) -> None:
        self.server = server
        self.error: BaseException | None = None
        self._near = near
        self._max_age_seconds = max_age_seconds
        self._over = over
        self._may_write = True
        self._beats = 0
        self._is_beat_heard = True
        self._connection = server.connection()
        self._thread = threading.Thread(target=self._run, name=f"tracking {server.name}", daemon=True)
        try:
            self._connection.connect()
            self._connection._parser.set_invalidation_push_handler(lambda push: push)  # noqa: SLF001 - as redis-py's own cache does
            self._ask("CLIENT", "TRACKING", "ON", "BCAST")
            self.proven_at = 0.0
            self._beat()
        except BaseException:
            self._connection.disconnect()
            raise

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._thread.join()
        self._connection.disconnect()

    def _run(self) -> None:
        heartbeat_due = 0.0
        try:
            while not self._over.is_set():
                if SYSTEM.monotonic() >= heartbeat_due:
                    self._heartbeat()
                    heartbeat_due = SYSTEM.monotonic() + _LOOK_SECONDS
                self._beat()
                self._hear(SYSTEM.monotonic() + BEAT_SECONDS)
        except (*FAILURES, Unavailable) as error:
            self.error = error
        finally:
            self._near.close()  # before anybody is served again
            self._over.set()

    def _beat(self) -> None:
        asked_at = SYSTEM.monotonic()
        role = self._ask("ROLE")
        if role[0] != b"master":
            raise Unavailable(f"{self.server.name} is no primary any more")
        if not self._is_beat_heard:
            raise Unavailable(f"{self.server.name} did not tell of the heartbeat's change")
        self.proven_at = asked_at

    def _heartbeat(self) -> None:
        """Change a key, which has to be heard of before the reply to what is asked after it."""
        if not self._may_write:
            return
        self._beats += 1
        self._is_beat_heard = False
        try:
            self._ask("SET", self.server.heartbeat, self._beats, "PX", _HEARTBEAT_MS)
        except FAILURES as error:
            if not str(error).startswith(("NOPERM", "this user has no permissions", "OOM", "command not allowed")):
                raise
            self._may_write = False
            self._is_beat_heard = True

    def _ask(self, *command: Any) -> Any:
        """The reply; what changed meanwhile is forgotten."""
        self._connection.send_command(*command)
        deadline = SYSTEM.monotonic() + self._max_age_seconds
        while True:
            if not self._connection.can_read(max(0.0, deadline - SYSTEM.monotonic())):
                raise Unavailable(f"{self.server.name} was silent for {self._max_age_seconds:g} s")
            reply = self._read()
            if reply is not None:
                return reply

    def _hear(self, until: float) -> None:
        """Forget what changes until then."""
        while (seconds := until - SYSTEM.monotonic()) > 0:
            if self._connection.can_read(seconds):
                self._read()

    def _read(self) -> Any:
        """A reply, or None where it was a message of changes, which is done then."""
        reply: Any = self._connection.read_response(disable_decoding=True, push_request=True)
        if not isinstance(reply, list) or reply[0] != _CHANGED:
            return reply
        if reply[1] is None:  # FLUSHALL, FLUSHDB
            self._near.forget_all()
            return None
        device_ids = [key.decode(errors="replace") for key in reply[1]]
        if self.server.heartbeat in device_ids:
            self._is_beat_heard = True
        self._near.forget(device_ids)
        return None
