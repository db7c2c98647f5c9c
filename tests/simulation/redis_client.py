"""What RedisCache asks of a client, over a simulated server; and faults between the two, which work on a real client too."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from redis import exceptions

from devicesync.cache.redis_connect import Client, Connections, Shard
from tests.simulation.redis_server import RedisServer, ServerError
from tests.simulation.scheduler import done, gate, told

_ERRORS = {"NOSCRIPT": exceptions.NoScriptError, "OOM": exceptions.OutOfMemoryError}


class SimulatedClient:
    """As redis.Redis with decode_responses, as far as RedisCache uses it."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server

    def script_load(self, text: str) -> str:
        return self.server.load(text)

    def script_flush(self) -> None:
        self.server.forget_scripts()

    def evalsha(self, sha: str, keys: int, *given: Any) -> Any:
        encoded = [_encoded(each) for each in given]
        return _answered(lambda: self.server.evaluate(sha, encoded[:keys], encoded[keys:]))

    def pipeline(self, *, transaction: bool) -> "Pipeline":
        assert not transaction
        return Pipeline(lambda what, commands: _raised(_made(self, commands)))

    def hgetall(self, name: str) -> dict[str, str]:
        found: dict[str, str] = _answered(lambda: self.server.command("HGETALL", name.encode()))
        return found

    def hset(self, name: str, *, mapping: dict[str, str]) -> int:
        pairs = [part.encode() for pair in mapping.items() for part in pair]
        return int(_answered(lambda: self.server.command("HSET", name.encode(), *pairs)))

    def delete(self, *names: str) -> int:
        return int(_answered(lambda: self.server.command("DEL", *[name.encode() for name in names])))

    def pexpire(self, name: str, after_ms: int) -> int:
        return int(_answered(lambda: self.server.command("PEXPIRE", name.encode(), b"%d" % after_ms)))

    def config_get(self, name: str) -> dict[str, str]:
        return {name: {"maxmemory": "0", "hash-max-listpack-value": "512"}.get(name, "")}

    def ping(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is open."""


Command = tuple[str, tuple[Any, ...]]


class GatedClient:
    """A client, simulated or real, whose every round trip waits for its turn and has a fate."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def script_load(self, text: str) -> Any:
        return self._round_trip("SCRIPT LOAD", [("script_load", (text,))])[0]

    def delete(self, *names: str) -> Any:
        return self._round_trip("DEL", [("delete", names)])[0]

    def pipeline(self, *, transaction: bool) -> "Pipeline":
        assert not transaction
        return Pipeline(self._round_trip)

    def ping(self) -> Any:
        return self._round_trip("PING", [("ping", ())])[0]

    def close(self) -> None:
        self._client.close()

    def _round_trip(self, what: str, commands: Sequence[Command]) -> list[Any]:
        fate = gate(f"Redis {what}")
        if fate == "is refused":
            raise exceptions.ConnectionError(fate)
        some = commands[: len(commands) // 2] if fate == "is done by half" else commands
        replies = _made(self._client, some)
        told(replies)
        done(fate)
        if fate != "goes on":
            raise exceptions.TimeoutError(fate)
        return _raised(replies)


class Pipeline:
    """Commands that go in one round trip."""

    def __init__(self, round_trip: Callable[..., list[Any]]) -> None:
        self._round_trip = round_trip
        self._commands: list[Command] = []

    def evalsha(self, *arguments: Any) -> None:
        self._commands.append(("evalsha", arguments))

    def execute(self) -> list[Any]:
        what = " ".join(sorted({_script_of(arguments) for _, arguments in self._commands}))
        return self._round_trip(what, self._commands)


class GatedConnections:
    """Connections whose clients are gated."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def shards(self, keys: Sequence[str], limit: int) -> Iterator[Shard]:
        """See Connections."""
        for client, groups in self._connections.shards(keys, limit):
            yield GatedClient(client), groups

    def clients(self) -> list[Client]:
        """See Connections."""
        return [GatedClient(client) for client in self._connections.clients()]

    def beside(self, key: str) -> str:
        """See Connections."""
        return self._connections.beside(key)

    def ping(self) -> None:
        """See Connections."""
        self._connections.ping()

    def settings(self, names: Sequence[str]) -> dict[str, str]:
        """See Connections."""
        return self._connections.settings(names)

    def refresh(self) -> None:
        """See Connections."""

    def close(self) -> None:
        """See Connections."""
        self._connections.close()


def _script_of(arguments: tuple[Any, ...]) -> str:
    """Which script a call is of, told by its last arguments."""
    if isinstance(arguments[-1], bytes):
        return "merge"
    return "look" if arguments[-2] == 65_536 else "read"


def _made(client: Client, commands: Sequence[Command]) -> list[Any]:
    replies: list[Any] = []
    for name, arguments in commands:
        try:
            replies.append(getattr(client, name)(*arguments))
        except exceptions.ResponseError as error:
            replies.append(error)
    return replies


def _raised(replies: list[Any]) -> list[Any]:
    wrong = next((reply for reply in replies if isinstance(reply, exceptions.RedisError)), None)
    if wrong is not None:
        raise wrong
    return replies


def _encoded(given: Any) -> bytes:
    return given if isinstance(given, bytes) else str(given).encode()


def _answered(command: Callable[[], Any]) -> Any:
    try:
        return _decoded(command())
    except ServerError as error:
        raise _ERRORS.get(str(error).split()[0], exceptions.ResponseError)(str(error)) from None


def _decoded(reply: Any) -> Any:
    if isinstance(reply, bytes):
        return reply.decode(errors="surrogateescape")
    if isinstance(reply, dict):
        return {name.decode(): value.decode() for name, value in reply.items()}
    return [_decoded(each) for each in reply] if isinstance(reply, list) else reply
