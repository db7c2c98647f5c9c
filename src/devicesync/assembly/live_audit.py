"""`audit --live`: the log followed, and what it says looked for in both stores."""

import threading
from contextlib import closing
from typing import Any

import structlog

from devicesync import data_directory
from devicesync.assembly import adapters
from devicesync.assembly.admin import admin_port
from devicesync.assembly.watcher import Watcher
from devicesync.config import Settings
from devicesync.errors import WrongUse
from devicesync.jobs.audit.difference import Difference
from devicesync.jobs.audit.live import READER, LiveAudit
from devicesync.jobs.audit.tally import Tally
from devicesync.status.declared import AUDIT_CHECKED, AUDIT_DIFFERENCES, AUDIT_REPAIRED, AUDIT_WAITING, Readings
from devicesync.url import masked

_MOST_KEPT = 10_000
_log: Any = structlog.get_logger("devicesync")


class Followed:
    """What a live audit found: the figures, and the last differences, each as a document (docs/reference/json.md, "audit")."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.differences: list[dict[str, Any]] = []

    def found(self, difference: Difference, is_mended: bool) -> None:  # noqa: FBT001 - as LiveAudit tells it
        """A difference that lasted."""
        document = difference.document()
        self.differences = [*self.differences[1 - _MOST_KEPT :], document]
        versions = {side: document[side] and document[side]["version"] for side in ("cache", "database")}
        _log.warning("difference", device_id=difference.device_id, kind=difference.kind, **versions, repaired=is_mended)


def follow(
    settings: Settings,
    stop: threading.Event,
    watcher: Watcher,
    *,
    one_in: int,
    repairs: bool,
    until_caught_up: bool,
    admin_listen: str | None,
) -> Followed:
    """Follow the log until `stop` is set, or until nothing is left to look at. Raises WrongUse, Held, Unavailable."""
    settings = adapters.without_following(settings)
    if not adapters.is_shared(settings):
        data_directory.prepare(settings.directory)
    if not adapters.database_exists(settings):
        raise WrongUse("there is no database yet", "`devicesync up` or `devicesync init` makes it")
    followed = Followed()
    with (
        closing(adapters.open_log(settings)) as log,
        closing(log.reader(READER)) as reader,
        closing(adapters.open_stores_to_compare(settings, repairs=repairs)) as stores,
    ):
        job = LiveAudit(
            reader,
            stores,
            stop=stop,
            one_in=one_in,
            repairs=repairs,
            max_clock_ahead_ms=settings.max_clock_ahead_ms,
            found=followed.found,
        )
        followed.tally = tally = job.tally

        def readings() -> Readings:
            return {
                AUDIT_CHECKED: tally.checked,
                AUDIT_DIFFERENCES: dict(tally.differences),
                AUDIT_REPAIRED: tally.repaired,
                AUDIT_WAITING: job.waiting,
            }

        checks = {"log": log.check, "database": stores.database.check, "cache": stores.cache.check}
        flow = f"{masked(settings.log)} <-> {masked(settings.cache)}, {masked(settings.database)}"
        with (
            admin_port(admin_listen, settings, "audit --live", READER, readings, **checks) as where,
            watcher.running(f"{flow}.{where}"),
        ):
            job.run(until_caught_up=until_caught_up)
    return followed
