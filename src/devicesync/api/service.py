"""The API put together: its calls over a log and stores, and its two ports, while a body runs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import structlog

from devicesync.api import descriptors
from devicesync.api.access import Access, RateLimit
from devicesync.api.app import Front, admin_app
from devicesync.api.clients import Clients
from devicesync.api.connections import ADMIN_CONNECTIONS, Door, Limits
from devicesync.api.counts import ApiCounts
from devicesync.api.endpoints import Calls, Dependencies
from devicesync.api.fuse import Fuse
from devicesync.api.location import Locations
from devicesync.api.profiles import Profiles
from devicesync.api.readiness import probe_of_clock, probe_of_log, probes_of_stores
from devicesync.api.serve import Opened, listen, serving
from devicesync.api.status_page.sight import Sight
from devicesync.api.versions import Versions
from devicesync.api.writer import Writer
from devicesync.config import Settings, host_and_port, http_url
from devicesync.log.port import Log
from devicesync.status.declared import API_CONNECTIONS, API_GROUPS, API_WAITING
from devicesync.status.health import ReadinessElsewhere
from devicesync.status.metrics import Metrics
from devicesync.status.spans import NO_SPANS, Spans
from devicesync.stores import Stores

_log: Any = structlog.get_logger("devicesync")


@contextmanager
def api(
    settings: Settings,
    log: Log,
    open_stores: Callable[[], Stores],
    metrics: Metrics,
    sight: Sight | None = None,
    *,
    spans: Spans = NO_SPANS,
    is_over: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[str, str]]:
    """Serve while the body runs, and yield the addresses of the API and of the admin port.

    open_stores: opens stores for the API alone, in its thread. sight: what the page may look at.
    is_over: whether to stop before the body ends.

    Raises WrongUse for settings that can't be right, and Unavailable where a port is taken.
    """
    locations = Locations(settings.city_file, settings.location_table)
    clients = Clients(settings.trusted_proxies)
    access = Access(settings.register_keys, settings.admin_keys, settings.jwt_key)
    rate_limit = RateLimit(settings.rate_limit_per_minute)
    limits = Limits(_room_for(settings.max_connections), settings.max_connections_per_address, clients.is_proxy)
    most_waiting = limits.connections * 3 // 4
    of_log = Fuse(most_waiting, "LOG_UNAVAILABLE", "registrations can't be logged now; try again")
    versions = Versions(log, settings.max_clock_ahead_ms, of_log)
    with ExitStack() as opened:
        public, admin = (
            opened.enter_context(closing(listen(name, getattr(settings, name)))) for name in ("listen", "admin_listen")
        )
        profiles = opened.enter_context(closing(Profiles(open_stores, settings.min_version_wait_ms, most_waiting)))
        writer = opened.enter_context(closing(Writer(log, of_log)))
        counts = ApiCounts()
        metrics.add(counts.readings)

        named, _ = host_and_port("admin_listen", settings.admin_listen)

        probes = {"log": probe_of_log(log, writer, versions), "clock": probe_of_clock(versions)} | probes_of_stores(profiles)
        readiness: ReadinessElsewhere

        def make_doors() -> list[Opened]:
            nonlocal readiness
            readiness = ReadinessElsewhere(probes)
            needs = Dependencies(writer, profiles, locations, clients, access, rate_limit, counts, versions, spans)
            door = Door(Front(Calls(needs)), limits)
            metrics.add(lambda: {API_WAITING: writer.waiting, API_GROUPS: writer.groups, API_CONNECTIONS: len(door)})
            return [(door, public)]

        def make_admin_doors() -> list[Opened]:
            return [(Door(admin_app(metrics, readiness.lacking, access, sight, named), Limits(ADMIN_CONNECTIONS)), admin)]

        addresses = [http_url(*each.getsockname()[:2]) for each in (public, admin)]
        # The admin port has a loop of its own: strangers can make the turns of the other one long.
        with (
            serving(make_doors, versions.look, is_over),
            serving(make_admin_doors, descriptors.teller(), is_over),
            closing(versions),
        ):
            yield addresses[0], addresses[1]


def _room_for(connections: int) -> int:
    room = descriptors.raise_limit(connections)
    if room < connections:
        hint = "raise the hard limit of open files (ulimit -Hn, LimitNOFILE)"
        _log.warning("max_connections is more than there are file descriptors for", connections=room, hint=hint)
    return room
