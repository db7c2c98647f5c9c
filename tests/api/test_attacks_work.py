"""Requests that are made to be slow: whoever sends them keeps nobody else waiting."""

import asyncio
import json
import signal
import tracemalloc
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest

from devicesync.api.answers import PROFILE, RequestError, success
from devicesync.api.clients import Address
from devicesync.api.endpoints import shown
from devicesync.api.location import Location
from devicesync.api.turns import LARGEST_BYTES, MOST_WAITING, Turns
from devicesync.law.event import decode
from devicesync.law.profile import profile_of
from devicesync.law.state import state_of
from tests.api.attacked import BODY, Attacked, many, post, rest_of
from tests.end_to_end.command import is_frozen, until

CLOSE = b"Connection: close"
SLOW = b'{"request":{"dspec":{"a":[' + b"1," * 4000 + b"1]}}}"
LARGE = b"%-3000b" % BODY
CROWD = 40


@pytest.mark.parametrize(
    ("body", "agent", "mine"), [(SLOW, b"x", BODY), (BODY, b"x" * 1000, BODY), (b" " * LARGEST_BYTES + SLOW, b"x", LARGE)]
)
def test_a_crowd_of_large_bodies_or_long_agents_lets_a_smaller_one_past(
    tmp_path: Path, body: bytes, agent: bytes, mine: bytes
) -> None:
    """They are all there when the process goes on; versions tell in which order they were worked on."""
    attacked = Attacked(tmp_path, "up")
    try:
        with many(attacked, CROWD) as crowd, closing(attacked.connect()) as small:
            small.sendall(post(BODY))
            version_in(small.recv(65_536))
            large = post(body, CLOSE, b"Expect: 100-continue", b"User-Agent: " + agent)
            for opened in crowd:
                opened.sendall(large[: -len(body)])
                assert opened.recv(25).startswith(b"HTTP/1.1 100 ")
            attacked.process.send_signal(signal.SIGSTOP)
            until(lambda: is_frozen(attacked.process))
            for opened in crowd:
                opened.sendall(body)
            small.sendall(post(mine, CLOSE))
            attacked.process.send_signal(signal.SIGCONT)
            first = version_in(rest_of(small))
            versions = [version_in(rest_of(opened)) for opened in crowd]
        assert sum(version < first for version in versions) < CROWD / 4
    finally:
        attacked.kill()


def test_a_crowd_of_one_address_leaves_large_bodies_of_another_their_turns(tmp_path: Path) -> None:
    """More than may wait in all are there before it."""
    attacked = Attacked(tmp_path, "up")
    try:
        with many(attacked, MOST_WAITING + CROWD) as crowd, closing(attacked.connect(source="127.0.0.2")) as other:
            large = post(SLOW, CLOSE, b"Expect: 100-continue")
            for opened in (*crowd, other):
                opened.sendall(large[: -len(SLOW)])
                assert opened.recv(25).startswith(b"HTTP/1.1 100 ")
            attacked.process.send_signal(signal.SIGSTOP)
            until(lambda: is_frozen(attacked.process))
            for opened in (*crowd, other):
                opened.sendall(SLOW)
            attacked.process.send_signal(signal.SIGCONT)
            other.settimeout(60)
            mine = version_in(rest_of(other))
            served = [version_in(answer) for answer in map(rest_of, crowd) if answer.startswith(b"HTTP/1.1 200")]
        assert len(served) < len(crowd)
        assert sum(version < mine for version in served) < CROWD
    finally:
        attacked.kill()


def test_large_bodies_that_wait_are_bounded() -> None:
    """Whoever sends one and goes away is no connection any more, and its body still waits. Beside them one is read."""
    answers = asyncio.run(_crowd([ip_address("10.0.0.1")] * (MOST_WAITING + 11)))
    assert answers == ["done"] * (MOST_WAITING + 1) + ["503"] * 10


def test_networks_take_turns() -> None:
    """One body of each, however many wait."""
    ended: list[str] = []
    crowd = [ip_address("10.0.0.1")] * 5 + [ip_address("10.0.0.2")] * 2 + [ip_address("10.0.0.3")]
    asyncio.run(_crowd(crowd, ended))
    assert [address[-1] for address in ended] == [*"11231211"]


def test_where_all_that_may_wait_do_the_network_with_most_gives_one() -> None:
    """Its last, and to a network with fewer. A /48 is one: a customer of a provider may have it, and so 65,536 times a /64."""
    network = int(ip_address("2001:db8::"))
    full = [ip_address(network + (number << 64)) for number in range(MOST_WAITING + 1)]
    others = [ip_address("10.0.0.1"), ip_address("10.0.0.2")]
    answers = asyncio.run(_crowd([*full, *others, full[0]]))
    assert answers == ["done"] * (MOST_WAITING - 1) + ["503"] * 2 + ["done"] * 2 + ["503"]


def test_who_is_cancelled_keeps_nobody_waiting() -> None:
    """While it waits, and when its turn has just come."""

    async def cancelled() -> list[str]:
        turns, address = Turns(), ip_address("10.0.0.1")
        async with turns.next(address):
            tasks = [asyncio.create_task(_one(turns, address)) for _ in range(3)]
            await asyncio.sleep(0.01)
            tasks[0].cancel()
            asyncio.get_running_loop().call_soon(tasks[1].cancel)
        return [await tasks[2]]

    assert asyncio.run(cancelled()) == ["done"]


async def _crowd(addresses: list[Address], ended: list[str] | None = None) -> list[str]:
    turns = Turns()
    return await asyncio.gather(*(_one(turns, address, ended) for address in addresses))


async def _one(turns: Turns, address: Address, ended: list[str] | None = None) -> str:
    try:
        async with turns.next(address):
            if ended is not None:
                ended.append(str(address))
            return "done"
    except RequestError as error:
        return str(error.status)


def test_a_map_of_many_keys_is_shown_as_it_lies_there() -> None:
    """It is neither read nor written anew, which would make hundreds of keys and values. The answer has the same bytes."""
    spec = {f"{number:x}": "1" * 200 for number in range(255)} | {"\u00fc": '"\n/'}
    event = {"device_id": "d", "version": 1_600_000_000_000_000, "device_spec": spec, "uaspec": {"agent": "x"}, "state": "Goa"}
    state = state_of(decode(json.dumps(event).encode(), taken_ms=1_600_000_000_000))
    tracemalloc.start()
    try:
        body = success(PROFILE, shown(state, Location())).body
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert msgspec.json.encode(profile_of(state)) in body
    assert peak < 4 * len(body)


def version_in(answer: bytes) -> int:
    """The version that an answer gives."""
    version = json.loads(answer.partition(b"\r\n\r\n")[2])["result"]["version"]
    assert isinstance(version, int)
    return version
