"""Readiness: what can't be used now, found out each time somebody asks, so that it heals by itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from devicesync.api.profiles import Profiles
from devicesync.api.versions import Versions
from devicesync.api.writer import Writer
from devicesync.config import Settings
from devicesync.durable import check_room
from devicesync.errors import Unavailable
from devicesync.jobs.shared.patience import waited_for
from devicesync.log.port import Log

_LONGEST_SECONDS = 2.0
_DISTRUST_SECONDS = 10.0

Probe = Callable[[], Awaitable[None]]
"""Raises where something can't be used."""


class Readiness:
    """Runs probes. For one event loop: one that does not answer is not begun twice."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self._probes = probes
        self._running: dict[str, asyncio.Future[None]] = {}

    async def lacking(self) -> dict[str, str]:
        """What is not ready: its name and why. Empty when all is well."""
        told = await asyncio.gather(*map(self._look, self._probes))
        return {name: reason for name, reason in zip(self._probes, told, strict=True) if reason}

    async def _look(self, name: str) -> str:
        running = self._running.get(name)
        if running is None or running.done():
            running = self._running[name] = asyncio.ensure_future(self._probes[name]())
            running.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.wait_for(asyncio.shield(running), _LONGEST_SECONDS)
        except TimeoutError:
            return f"no answer within {_LONGEST_SECONDS:g} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not ready
            return str(error) or type(error).__name__
        return ""


def probes_of_stores(settings: Settings, profiles: Profiles) -> dict[str, Probe]:
    """Probes of both stores, and of the jobs of this process."""

    async def database() -> None:
        if settings.database.startswith("sqlite:"):
            check_room(Path(settings.database.partition(":")[2]).parent)
        await profiles.check(lambda stores: stores.database.check())

    async def cache() -> None:
        await profiles.check(lambda stores: stores.cache.check())

    return {"database": database, "cache": cache, "job": probe_of_jobs}


async def probe_of_jobs() -> None:
    """A probe of the jobs of this process: whether they wait for something."""
    if reason := waited_for():
        raise Unavailable(f"waiting: {reason}")


def probe_of_clock(versions: Versions) -> Probe:
    """A probe of the clock that registrations get their versions from."""

    async def probe() -> None:
        if versions.stepped_back:
            raise Unavailable("it stepped back, past what the law bears")

    return probe


def probe_of_log(log: Log, writer: Writer) -> Probe:
    """A probe of the log as registrations find it. A group that could not be written is held against it for a while."""
    failed, failed_at = 0, 0.0

    async def probe() -> None:
        nonlocal failed, failed_at
        if not writer.works and writer.groups != failed:
            failed, failed_at = writer.groups, time.monotonic()
        if not writer.works and time.monotonic() - failed_at < _DISTRUST_SECONDS:
            raise Unavailable("the last registrations could not be written")
        await asyncio.to_thread(log.check)

    return probe
