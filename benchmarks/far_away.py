"""Servers as if they were a network away: what goes to a port is passed on half a round trip later, and so is what comes back."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK_BYTES = 1 << 18


@contextmanager
def far_away(port: int, round_trip_ms: float) -> Iterator[int]:
    """A port of this machine that leads to `port`, so far away."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, back, round_trip_ms / 2000), _pass_on(there, writer, round_trip_ms / 2000))

    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, "127.0.0.1", 0), loop).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)  # the thread ends with the process


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Chunks wait in a queue, so that one that comes while another waits is not later than it must be."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=1000)

    async def write() -> None:
        while True:
            due, chunk = await waiting.get()
            await asyncio.sleep(max(due - loop.time(), 0))
            writer.write(chunk)
            await writer.drain()
            if not chunk:
                writer.close()
                return

    with suppress(ConnectionError):
        writing = asyncio.ensure_future(write())
        while chunk := await reader.read(_CHUNK_BYTES):
            await waiting.put((loop.time() + seconds, chunk))
        await waiting.put((loop.time() + seconds, b""))
        await writing
