"""The faults. Each hurts one thing, waits, and heals it again before it returns."""

import random
import signal
import time
from functools import partial
from typing import Any

import redis
from devstack.server import Server

from soak.system import System

MORTAL = "updater that is killed"
"""The updater that is killed and started anew; the other one lives as long as the soak."""

_PAUSE_SECONDS = (2.0, 12.0)


class Faults:
    """All faults of a system, in an order of chance. `counts`: how often each was done."""

    def __init__(self, system: System, chance: random.Random) -> None:
        self._system = system
        self._chance = chance
        self.counts: dict[str, int] = {}
        self.last = "none yet"
        self._all = {
            "updater killed (kill -9)": partial(self._kill_updater),
            "Redis emptied": partial(self._empty_redis),
            "Redis restarted empty (kill -9)": partial(self._restart, system.redis, signal.SIGKILL),
            "Redis paused": partial(self._pause, system.redis),
            "Kafka restarted": partial(self._restart, system.kafka, signal.SIGTERM),
            "Kafka paused": partial(self._pause, system.kafka),
            "Cassandra restarted": partial(self._restart, system.cassandra, signal.SIGTERM),
            "Cassandra paused": partial(self._pause, system.cassandra),
        }

    def each_once(self) -> list[str]:
        """The names of all, in an order of chance."""
        return self._chance.sample([*self._all], len(self._all))

    def any(self) -> str:
        """The name of one."""
        return self._chance.choice([*self._all])

    def do(self, name: str) -> None:
        """Do it, and return when it is healed."""
        self.last = name
        self._all[name]()
        self.counts[name] = self.counts.get(name, 0) + 1

    def _wait(self) -> None:
        time.sleep(self._chance.uniform(*_PAUSE_SECONDS))

    def _kill_updater(self) -> None:
        self._system.kill_updater(MORTAL)
        self._wait()
        self._system.start_updater(MORTAL)

    def _empty_redis(self) -> None:
        client: Any = redis.Redis(port=self._system.redis.port)
        client.flushall()
        client.close()

    def _restart(self, server: Server, how: signal.Signals) -> None:
        server.stop(how)
        self._wait()
        server.start()

    def _pause(self, server: Server) -> None:
        server.pause()
        self._wait()
        server.resume()
