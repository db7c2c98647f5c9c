"""Histories on real servers: step by step, what they answer is compared with what the simulated ones do."""

import re
import uuid
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from devicesync.cache.redis_connect import Connections, connect
from devicesync.database.cassandra import CassandraDatabase, CassandraUrl
from tests import servers
from tests.simulation.history import run
from tests.simulation.plan import Settings, draw
from tests.simulation.world import World

_TICKET = re.compile(r"\b[0-9a-f]{12}\b")


class Servers:
    """A real Redis and a real Cassandra with a keyspace of its own."""

    def __init__(self) -> None:
        self.place = CassandraUrl.parse(
            f"cassandra://127.0.0.1:{servers.cassandra('5.0').port}/simulation_{uuid.uuid4().hex[:8]}"
        )
        self.connections: Connections = connect(f"redis://127.0.0.1:{servers.redis().port}/3")
        self.database = CassandraDatabase(self.place, "acsylla")
        self.database.create()

    def close(self) -> None:
        """Give back connections."""
        self.database.close()
        self.connections.close()


class RealWorld(World):
    """A world whose Redis and Cassandra are real; its log and its clocks are not."""

    def __init__(self, settings: Settings, devices: int, prefix: str, real: Servers) -> None:
        self._real = real
        super().__init__(settings, devices, prefix, real.place)

    def peek(self, asked: tuple[int, ...]) -> CassandraDatabase:
        """There is one replica."""
        del asked
        return self._real.database

    def close(self) -> None:
        """The servers are used by others too."""

    def _servers(self) -> tuple[Any, Any]:
        return self._real.connections, self._real.database._driver


def differences(seed: int, real: Servers) -> Iterator[str]:
    """Where the seed's history comes out otherwise on real servers; and what is wrong with it there."""
    plan, prefix = draw(seed, real=True), f"{uuid.uuid4().hex[:8]}-"
    worlds = World(plan.settings, plan.devices, prefix), RealWorld(plan.settings, plan.devices, prefix, real)
    simulated, outcome = (run(plan, seed, None, world, real=True) for world in worlds)
    yield from (f"on real servers: {wrong}" for wrong in outcome.wrong)
    yield from (f"simulated: {wrong}" for wrong in simulated.wrong)
    answers = (_in_order(world.answers) for world in worlds)
    for number, (mine, theirs) in enumerate(zip_longest(*answers)):
        if mine != theirs:
            yield f"answer {number}: simulated {mine}\n    real {theirs}"
            return
    if simulated.trace != outcome.trace:
        yield "the traces differ"


def _in_order(answers: list[Any]) -> list[Any]:
    tickets: dict[str, int] = {}
    return [_plain(answer, tickets) for answer in answers]


def _plain(answer: Any, tickets: dict[str, int]) -> Any:
    """An answer as it may be compared: tickets numbered, rows in order, maps and sets as such."""
    if isinstance(answer, str):
        return _TICKET.sub(lambda found: f"<{tickets.setdefault(found[0], len(tickets))}>", answer)
    if isinstance(answer, list | tuple):
        plain = [_plain(each, tickets) for each in answer]
        return sorted(plain, key=repr) if answer and isinstance(answer[0], tuple) else plain
    if hasattr(answer, "items"):
        return {key: _plain(value, tickets) for key, value in sorted(answer.items())}
    if isinstance(answer, set | frozenset):
        return sorted(answer)
    return type(answer).__name__ if isinstance(answer, Exception) else answer
