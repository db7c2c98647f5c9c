"""`audit --live`: the log followed, and what it says looked for in both stores."""

from collections import deque
from contextlib import closing, suppress
from typing import Any

import structlog

from devicesync import data_directory
from devicesync.assembly import adapters, named_log
from devicesync.assembly.admin import admin_port, checks_of_stores, used
from devicesync.assembly.long_run import LongRun
from devicesync.config import Settings
from devicesync.errors import Stopped
from devicesync.jobs.audit.difference import Difference
from devicesync.jobs.audit.findings import Findings
from devicesync.jobs.audit.live import READER, LiveAudit
from devicesync.jobs.shared.patience import Patience
from devicesync.status.declared import AUDIT_BOUND, AUDIT_CHECKED, AUDIT_DIFFERENCES, AUDIT_REPAIRED, AUDIT_WAITING, Readings
from devicesync.url import masked

_MOST_KEPT = 10_000
_log: Any = structlog.get_logger("devicesync")


class Followed:
    """What a live audit found: the figures, and the last differences, each as a document (docs/reference/json.md, "audit").

    job: the audit, once the database is there. names_devices: whether log lines hold their ids.
    """

    def __init__(self, *, names_devices: bool) -> None:
        self._names_devices = names_devices
        self.job: LiveAudit | None = None
        self.differences: deque[dict[str, Any]] = deque(maxlen=_MOST_KEPT)

    @property
    def findings(self) -> Findings:
        """The figures."""
        return self.job.findings if self.job else Findings()

    def found(self, difference: Difference, is_mended: bool) -> None:  # noqa: FBT001 - as LiveAudit tells it
        """A difference that lasted."""
        document = difference.document()
        self.differences.append(document)
        versions = {side: document[side] and document[side]["version"] for side in ("cache", "database")}
        name = {"device_id": difference.device_id} if self._names_devices else {}
        _log.warning("difference", **name, kind=difference.kind, **versions, repaired=is_mended)

    def readings(self) -> Readings:
        """What /metrics shows."""
        return {
            AUDIT_CHECKED: self.findings.checked,
            AUDIT_DIFFERENCES: {kind: float(count) for kind, count in self.findings.differences.items()},
            AUDIT_REPAIRED: self.findings.repaired,
            AUDIT_WAITING: self.job.waiting if self.job else 0,
            AUDIT_BOUND: min(self.findings.bound_95 or 1.0, 1.0),
        }


def follow(settings: Settings, run: LongRun, *, one_in: int, repairs: bool, names_devices: bool) -> Followed:
    """Follow the log until the run ends. Raises WrongUse, Held, Unavailable."""
    settings = named_log.without_following(settings)
    if not named_log.is_shared(settings):
        data_directory.prepare(settings.directory)
    adapters.check_cache(settings)
    followed = Followed(names_devices=names_devices)
    flow = f"{masked(settings.log)} <-> {masked(settings.cache)}, {masked(settings.database)}"
    uses = used(settings, "log", "cache", "database")
    with (
        closing(adapters.open_log(settings)) as log,
        closing(log.reader(READER)) as reader,
        checks_of_stores(settings) as checks,
        admin_port(
            run.admin_listen, settings, "audit --live", READER, followed.readings, uses=uses, log=log.check, **checks
        ) as where,
        run.watcher.running(f"{flow}.{where}"),
        suppress(Stopped),
    ):
        if not run.until_caught_up:
            Patience(run.stop).until_it_works(adapters.check_database_exists, settings)
        adapters.check_database_exists(settings)
        with closing(adapters.open_stores_to_compare(settings, repairs=repairs)) as stores:
            followed.job = LiveAudit(
                reader,
                stores,
                stop=run.stop,
                one_in=one_in,
                repairs=repairs,
                max_clock_ahead_ms=settings.max_clock_ahead_ms,
                found=followed.found,
            )
            followed.job.run(until_caught_up=run.until_caught_up)
    return followed
