"""Bodies that are made to be slow: whoever sends them keeps nobody else waiting."""

import asyncio
import json
import signal
from contextlib import closing
from pathlib import Path

from devicesync.api.answers import RequestError
from devicesync.api.turns import MOST_WAITING, Turns
from tests.api.attacked import BODY, Attacked, many, post, rest_of
from tests.end_to_end.command import is_frozen, until

CLOSE = b"Connection: close"
SLOW = b'{"request":{"dspec":{"a":[' + b"1," * 4000 + b"1]}}}"
CROWD = 40


def test_a_crowd_of_large_bodies_lets_a_small_one_past(tmp_path: Path) -> None:
    """They are all there when the process goes on; versions tell in which order they were worked on."""
    attacked = Attacked(tmp_path, "up")
    try:
        with many(attacked, CROWD) as crowd, closing(attacked.connect()) as small:
            small.sendall(post(BODY))
            version_in(small.recv(65_536))
            large = post(SLOW, CLOSE, b"Expect: 100-continue")
            for opened in crowd:
                opened.sendall(large[: -len(SLOW)])
                assert opened.recv(25).startswith(b"HTTP/1.1 100 ")
            attacked.process.send_signal(signal.SIGSTOP)
            until(lambda: is_frozen(attacked.process))
            for opened in crowd:
                opened.sendall(SLOW)
            small.sendall(post(BODY, CLOSE))
            attacked.process.send_signal(signal.SIGCONT)
            first = version_in(rest_of(small))
            versions = [version_in(rest_of(opened)) for opened in crowd]
        assert sum(version < first for version in versions) < CROWD / 4
    finally:
        attacked.kill()


def test_large_bodies_that_wait_are_bounded() -> None:
    """Whoever sends one and goes away is no connection any more, and its body still waits."""

    async def crowd() -> list[str]:
        turns = Turns()

        async def one() -> str:
            try:
                async with turns.next():
                    return "done"
            except RequestError as error:
                return str(error.status)

        return await asyncio.gather(*(one() for _ in range(MOST_WAITING + 11)))

    answers = asyncio.run(crowd())
    assert (answers.count("done"), answers.count("503")) == (MOST_WAITING, 11)


def version_in(answer: bytes) -> int:
    """The version that an answer gives."""
    version = json.loads(answer.partition(b"\r\n\r\n")[2])["result"]["version"]
    assert isinstance(version, int)
    return version
