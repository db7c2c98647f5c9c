"""Serving the applications from a thread with an event loop of its own, so that an updater may run beside."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
import uvloop

from devicesync.api.protocol import LimitedProtocol
from devicesync.errors import Unavailable, WrongUse

_KEEP_ALIVE_SECONDS = 75
_STOP_SECONDS = 5
_BACKLOG = 1024

App = tuple[Any, socket.socket]


def listen(setting: str, address: str) -> socket.socket:
    """A listening socket on HOST:PORT. Raises WrongUse, and Unavailable where the port is taken."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise WrongUse(f"{setting} = {address!r} is not HOST:PORT", "for example 127.0.0.1:8080")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise Unavailable(f"can't listen on {address}: {error}", f"is something else there? choose another {setting}") from error


@contextmanager
def serving(make_apps: Callable[[], Sequence[App]]) -> Iterator[None]:
    """Serve while the body runs. `make_apps` is called in the loop's thread."""
    servers: list[uvicorn.Server] = []
    failure: list[BaseException] = []
    started = threading.Event()

    async def serve() -> None:
        apps = make_apps()
        servers.extend(_server(app) for app, _ in apps)
        tasks = [asyncio.create_task(server.serve([opened])) for server, (_, opened) in zip(servers, apps, strict=True)]
        while not all(server.started for server in servers) and not any(task.done() for task in tasks):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.005)
        started.set()
        await asyncio.gather(*tasks)

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve())
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            failure.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, name="api")
    thread.start()
    started.wait()
    try:
        if failure:
            raise failure[0]
        yield
    finally:
        for server in servers:
            server.should_exit = True
        thread.join()


def _server(app: Any) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=LimitedProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="error",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
        backlog=_BACKLOG,
    )
    return uvicorn.Server(config)
