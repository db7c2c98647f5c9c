"""The probes of a process that serves the API, or of a job's admin port."""

import asyncio

from devicesync.api.answers import RequestError
from devicesync.api.profiles import Profiles
from devicesync.api.versions import Versions
from devicesync.api.writer import Writer
from devicesync.clock import SYSTEM
from devicesync.errors import Unavailable
from devicesync.jobs.shared.patience import waited_for
from devicesync.log.port import Log
from devicesync.status.health import Probe

_DISTRUST_SECONDS = 10.0


def probes_of_stores(profiles: Profiles) -> dict[str, Probe]:
    """Probes of both stores, and of the jobs of this process."""

    async def database() -> None:
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


def probe_of_log(log: Log, writer: Writer, versions: Versions) -> Probe:
    """A probe of the log: whether it tells its last version, and takes records.

    A group of registrations that could not be written counts as a failure for a while.
    """
    failed, failed_at = 0, 0.0

    async def probe() -> None:
        nonlocal failed, failed_at
        if not writer.works and writer.groups != failed:
            failed, failed_at = writer.groups, SYSTEM.monotonic()
        if not writer.works and SYSTEM.monotonic() - failed_at < _DISTRUST_SECONDS:
            raise Unavailable("the last registrations could not be written")
        await asyncio.to_thread(log.check)
        try:
            await versions.ready()
        except RequestError as error:
            raise Unavailable(f"its last version is not known: {error}") from error

    return probe
