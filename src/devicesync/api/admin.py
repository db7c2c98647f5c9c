"""The admin port alone, for jobs that serve nothing else."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

from devicesync.api import descriptors
from devicesync.api.access import Access
from devicesync.api.app import admin_app
from devicesync.api.connections import ADMIN_CONNECTIONS, Door, Limits
from devicesync.api.readiness import probe_of_jobs
from devicesync.api.serve import Opened, listen, serving
from devicesync.api.status_page.sight import Sight
from devicesync.config import host_and_port, http_url
from devicesync.status.health import Probe, Readiness
from devicesync.status.metrics import Metrics


@contextmanager
def admin(
    address: str, metrics: Metrics, checks: Mapping[str, Callable[[], None]], access: Access, sight: Sight | None
) -> Iterator[str]:
    """Serve while the body runs, and yield the URL. A check raises where something can't be used; each runs in a thread.

    Raises WrongUse for a wrong address, and Unavailable where the port is taken.
    """
    with closing(listen("admin_listen", address)) as opened:
        named, _ = host_and_port("admin_listen", address)
        probes = {name: _in_thread(check) for name, check in checks.items()} | {"job": probe_of_jobs}

        def make_doors() -> list[Opened]:
            return [
                (Door(admin_app(metrics, Readiness(probes).lacking, access, sight, named), Limits(ADMIN_CONNECTIONS)), opened)
            ]

        with serving(make_doors, descriptors.teller()):
            yield http_url(*opened.getsockname()[:2])


def _in_thread(check: Callable[[], None]) -> Probe:
    async def probe() -> None:
        await asyncio.to_thread(check)

    return probe
