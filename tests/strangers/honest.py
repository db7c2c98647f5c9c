"""A client that wants to be served, whatever strangers do; and what a process must not grow by meanwhile."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from tests.api.attacked import Attacked
from tests.end_to_end.command import WAIT_SECONDS
from tests.strangers.answers import Answered, Answers
from tests.strangers.requests import Asked, read, register

GROWTH_MB = 100
MOST_LEFT_BYTES = 256 << 10
_SOURCE = "127.200.0.1"
_CLOSE = b"Connection: close"
_CLOSED = {"04", "09", "0B"}
"""States of connections that our side has closed, and that still have something to send or to be told."""


class Honest:
    """It registers and reads. acknowledged: (device, version) of what it registered."""

    def __init__(self, attacked: Attacked) -> None:
        self.acknowledged: list[tuple[str, int]] = []
        self._attacked = attacked
        self._before_mb = attacked.rss_mb()

    async def look(self) -> None:
        """All is well now: its registration can be read, the probe is answered, and little is kept for strangers."""
        device = f"honest{len(self.acknowledged) % 10}"
        version = (await self._ask(register(device, b'{"k":"v"}', _CLOSE), self._attacked.port)).version
        self.acknowledged.append((device, version))
        seen = await self._ask(read(device, b"?min_version=%d" % version, _CLOSE), self._attacked.port)
        assert seen.version >= version, seen
        await self._ask(Asked(b"GET /livez HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % _CLOSE, {200}), self._attacked.admin_port)
        grown_mb, left = self._attacked.rss_mb() - self._before_mb, _left_bytes(self._attacked.port)
        assert (grown_mb < GROWTH_MB, left < MOST_LEFT_BYTES) == (True, True), f"{grown_mb} MiB, and {left} bytes of the closed"

    async def nobody_is_there(self) -> None:
        """When all strangers have left, no connection counts any more."""
        deadline = time.monotonic() + WAIT_SECONDS
        asked = Asked(b"GET /metrics HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % _CLOSE, {200})
        while b"\ndevicesync_api_connections 0" not in (await self._ask(asked, self._attacked.admin_port)).body:
            assert time.monotonic() < deadline, "connections that are gone still count"
            await asyncio.sleep(0.05)

    async def _ask(self, asked: Asked, port: int) -> Answered:
        """Again and again until it is 200: on a busy machine it may be told to come later."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            answers = Answers([asked._replace(may={200, 503, 504})])
            answers.sent = len(asked.data)
            with suppress(OSError):
                async with asyncio.timeout(WAIT_SECONDS):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(_SOURCE, 0))
                    writer.write(asked.data)
                    answers.take(await reader.read())
                    writer.close()
                    await writer.wait_closed()
            if answers.taken and answers.taken[0].status == 200:
                return answers.taken[0]
            assert time.monotonic() < deadline, answers.taken
            await asyncio.sleep(0.05)


def _left_bytes(port: int) -> int:
    """How many bytes the system keeps for clients of this port that have not taken them, of connections that are closed."""
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, queues, *rest = line.split()
        if local.endswith(f":{port:04X}") and state in _CLOSED and rest[4] == "0":
            count += int(queues.partition(":")[0], 16)
    return count
