"""What one stranger does on one connection, as chance decides."""

import asyncio
import socket
import struct
from random import Random
from typing import NamedTuple

from tests.strangers.answers import Answers
from tests.strangers.requests import KINDS, Asked, Kind, junk_after_the_end

RESET = struct.pack("ii", 1, 0)
LITTLE_BYTES = 2048
_ALL = 1 << 30


class Visit(NamedTuple):
    """sends: so many bytes, in pieces of at most `piece`, with a pause after each. takes: bytes of answers at a time, 0 for none.

    seconds: it goes on no longer. end: how it leaves.
    """

    asked: list[Asked]
    sends: int
    piece: int
    pause: float
    takes: int
    seconds: float
    end: str


def some_visit(chance: Random, kind: Kind) -> Visit:
    """Half of what it asks is of this kind."""
    if kind is junk_after_the_end:
        large = Asked(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", {200})
        return Visit([*[large] * 3, kind(chance)], _ALL, _ALL, 0, 0, 5, "stays")
    count = chance.choice((1, 1, 2, 3, 8, 30))
    asked = [(kind if chance.random() < 0.5 else chance.choice(KINDS))(chance) for _ in range(count)]
    sends = _ALL if chance.random() < 0.75 else chance.randrange(sum(len(each.data) for each in asked) + 1)
    piece, pause = chance.choice([*[(_ALL, 0.0)] * 6, (4000, 0.002), (60, 0.01), (1, 0.02)])
    takes = chance.choice([*[65_536] * 6, 300, 0])
    seconds, end = chance.choice([0.01, 0.1, 0.2, 0.4]), chance.choice(["close", "half-close", "reset", "stays"])
    return Visit(asked, sends, piece, pause, takes, seconds, end)


async def pay(visit: Visit, opened: socket.socket, port: int, answers: Answers) -> None:
    """Do that. The connection may be over at any time, which is no fault."""
    opened.settimeout(0)
    if visit.takes < LITTLE_BYTES:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE_BYTES)
    try:
        await asyncio.get_running_loop().sock_connect(opened, ("127.0.0.1", port))
        async with asyncio.timeout(visit.seconds), asyncio.TaskGroup() as both:
            both.create_task(_send(opened, visit, answers))
            both.create_task(_take(opened, visit, answers))
    except* OSError:  # a timeout too
        pass
    if visit.end == "reset":
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    if visit.end != "stays":
        opened.close()


async def _send(opened: socket.socket, visit: Visit, answers: Answers) -> None:
    data = b"".join(each.data for each in visit.asked)[: visit.sends]
    while answers.sent < len(data):
        piece = data[answers.sent : answers.sent + visit.piece]
        answers.sent += len(piece)  # before: the answer may be quicker
        await asyncio.get_running_loop().sock_sendall(opened, piece)
        await asyncio.sleep(visit.pause)
    if visit.end == "half-close":
        opened.shutdown(socket.SHUT_WR)


async def _take(opened: socket.socket, visit: Visit, answers: Answers) -> None:
    while visit.takes and not answers.are_all_there:
        data = await asyncio.get_running_loop().sock_recv(opened, visit.takes)
        if not data:
            return
        answers.take(data)
        await asyncio.sleep(0.01 if visit.takes < LITTLE_BYTES else 0)
