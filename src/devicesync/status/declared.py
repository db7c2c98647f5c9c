"""Every metric that devicesync serves, declared once: its name, its meaning, its labels, and which commands serve it.

docs/reference/metrics.md is made from this list, and a test holds each command to it. Prometheus' rules: base units in names
(seconds, bytes), counters end in `_total`. No label ever holds an id, an address or a token.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from devicesync.enrich.counts import AGES_MS
from devicesync.status.tally import Tally

FAST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
FRESH_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
AGE_SECONDS = tuple(age_ms / 1000 for age_ms in AGES_MS)
BATCH_RECORDS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 2000.0, 5000.0)

UPDATERS = ("up", "update")
SERVERS = ("up", "api")
JOBS = (*UPDATERS, "ship", "backup run", "enrich", "audit --live")
ALL = (*JOBS, "api")


class Metric(NamedTuple):
    """One family of samples. edges: of a histogram, the upper bounds of its buckets, in the unit that the name says."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    meaning: str
    commands: tuple[str, ...]
    labels: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()


Reading = float | Tally | Mapping[tuple[str, ...], float] | Mapping[str, float] | Mapping[str, Tally]
"""A figure; of a metric with labels one for each value of its label, or values of its labels, that came up."""
Readings = Mapping[Metric, Reading]

BUILD = Metric("gauge", "devicesync_build_info", "Always 1; its labels say what runs.", ALL, ("version", "python", "command"))
LEADERLESS = Metric(
    "gauge", "devicesync_log_leaderless_partitions",
    "Partitions of the topic that have no leader, as far as this process knows: their devices wait, the others do not.", ALL,
)  # fmt: skip

READ = Metric("counter", "devicesync_updater_read_total", "Records that were read from the log.", UPDATERS)
APPLIED = Metric("counter", "devicesync_updater_applied_total", "Events handed through the law.", UPDATERS)
REFUSED = Metric("counter", "devicesync_updater_refused_total", "Records in the dead letters, by reason.", UPDATERS, ("reason",))
LOST = Metric(
    "counter", "devicesync_updater_lost_total",
    "Records that were gone before they were read. Where the group has no position none are counted: it may be new.", UPDATERS,
)  # fmt: skip
STALE = Metric(
    "counter", "devicesync_updater_stale_total",
    "Devices of batches that brought nothing newer than the cache held: late, repeated or replayed events. The guard of the "
    "stores let them overwrite nothing newer.",
    UPDATERS,
)  # fmt: skip
FRESHNESS = Metric(
    "histogram", "devicesync_updater_freshness_seconds",
    "From the time at which the log took a record to the time at which it is readable in the cache. Refused records count too.",
    UPDATERS, edges=FRESH_SECONDS,
)  # fmt: skip
BATCH = Metric("histogram", "devicesync_updater_batch_records", "Records in a batch.", UPDATERS, edges=BATCH_RECORDS)
STEP = Metric(
    "histogram", "devicesync_updater_step_seconds",
    "Time of a batch in each step, waiting for what was down included: poll, decode, write (both stores), dead_letters, commit. "
    "A poll that found nothing is not counted.",
    UPDATERS, ("step",), FAST_SECONDS,
)  # fmt: skip
STORE_CALL = Metric(
    "histogram", "devicesync_store_call_seconds", "Time of the updater's calls of a store, by store: cache, database.",
    UPDATERS, ("store",), FAST_SECONDS,
)  # fmt: skip
STORE_ERRORS = Metric(
    "counter", "devicesync_store_errors_total", "The updater's calls of a store that failed because it could not be used.",
    UPDATERS, ("store",),
)  # fmt: skip

RETRIES = Metric(
    "counter", "devicesync_job_retries_total", "Calls that were repeated because a log or a store could not be used.", JOBS
)
WAITING = Metric("gauge", "devicesync_job_waiting", "1 while the job waits for a log or a store; /readyz says for what.", JOBS)
LAG_RECORDS = Metric("gauge", "devicesync_log_lag_records", "Records of the log that were not read yet.", JOBS)
LAG_SECONDS = Metric("gauge", "devicesync_log_lag_seconds", "The age of the oldest of them; 0 where there are none.", JOBS)
LAG_HELD = Metric(
    "gauge", "devicesync_log_lag_held_records",
    "Of them those that no reader gets now: they lie behind a transaction that a producer of the topic has not ended.", JOBS,
)  # fmt: skip

API_REQUESTS = Metric(
    "counter", "devicesync_api_requests_total", "Requests answered, by call and HTTP status.", SERVERS, ("call", "status")
)
API_SECONDS = Metric(
    "histogram", "devicesync_api_request_seconds", "From the request's head to its answer, by call.",
    SERVERS, ("call",), FAST_SECONDS,
)  # fmt: skip
API_LEFT_OUT = Metric(
    "counter", "devicesync_api_left_out_total", "Fields of registrations that could not be used and were left out.",
    SERVERS, ("field",),
)  # fmt: skip
API_WAITING = Metric("gauge", "devicesync_api_waiting_for_log", "Registrations that wait for the log.", SERVERS)
API_GROUPS = Metric("counter", "devicesync_api_log_groups_total", "Groups of registrations written to the log.", SERVERS)
API_CONNECTIONS = Metric("gauge", "devicesync_api_connections", "Open connections of the API.", SERVERS)

SHIPPED = Metric("counter", "devicesync_shipped_total", "Records that the topic has acknowledged.", ("ship",))

BACKUP_RECORDS = Metric("counter", "devicesync_backup_records_total", "Records in files of the backup.", ("backup run",))
BACKUP_FILES = Metric("counter", "devicesync_backup_files_total", "Files that are in the backup.", ("backup run",))
BACKUP_BYTES = Metric("counter", "devicesync_backup_bytes_total", "The size of these files.", ("backup run",))

ENRICH_WRITTEN = Metric("counter", "devicesync_enrich_written_total", "Events that the target has acknowledged.", ("enrich",))
ENRICH_REFUSED = Metric(
    "counter", "devicesync_enrich_refused_total", "Events in the dead letters, by reason.", ("enrich",), ("reason",)
)
ENRICH_EVENTS = Metric("counter", "devicesync_enrich_events_total", "Events that were looked at.", ("enrich",))
ENRICH_HITS = Metric("counter", "devicesync_enrich_hits_total", "Events whose device the near cache remembered.", ("enrich",))
ENRICH_MISSES = Metric("counter", "devicesync_enrich_misses_total", "Events whose device had to be read.", ("enrich",))
ENRICH_UNKNOWN = Metric("counter", "devicesync_enrich_unknown_total", "Events whose device the cache does not know.", ("enrich",))
ENRICH_WITHOUT_DEVICE = Metric(
    "counter", "devicesync_enrich_without_device_total", "Events without context.did, which go through untouched.", ("enrich",)
)
ENRICH_MARKED = Metric(
    "counter", "devicesync_enrich_marked_total", "Events that went on without devicedata while the cache was away.", ("enrich",)
)
ENRICH_AGE = Metric(
    "histogram", "devicesync_enrich_age_seconds", "How old what was known of a device was when an event got it.",
    ("enrich",), edges=AGE_SECONDS,
)  # fmt: skip
ENRICH_INVALIDATED = Metric(
    "counter", "devicesync_enrich_invalidated_total", "Devices that the near cache forgot: they changed.", ("enrich",)
)
ENRICH_LOST = Metric("counter", "devicesync_enrich_lost_total", "How often changes were not heard any more.", ("enrich",))
ENRICH_DEVICES = Metric("gauge", "devicesync_enrich_remembered_devices", "Devices in the near cache.", ("enrich",))
ENRICH_BYTES = Metric("gauge", "devicesync_enrich_remembered_bytes", "The memory that they take, about.", ("enrich",))
ENRICH_HEARS = Metric("gauge", "devicesync_enrich_hears_changes", "1 while changes are heard.", ("enrich",))

AUDIT_CHECKED = Metric(
    "counter", "devicesync_audit_checked_total", "Events that were looked for in both stores.", ("audit --live",)
)
AUDIT_DIFFERENCES = Metric(
    "counter",
    "devicesync_audit_differences_total",
    "Differences of the stores that lasted, by kind.",
    ("audit --live",),
    ("kind",),
)
AUDIT_REPAIRED = Metric("counter", "devicesync_audit_repaired_total", "Differences that were mended.", ("audit --live",))
AUDIT_WAITING = Metric("gauge", "devicesync_audit_waiting", "Events that are still to be looked for.", ("audit --live",))
AUDIT_BOUND = Metric(
    "gauge", "devicesync_audit_bound_95_ratio",
    "At most this share of the events differs, at 95 %; 1 where nothing was checked yet.",
    ("audit --live",),
)  # fmt: skip

METRICS = tuple(value for value in tuple(globals().values()) if isinstance(value, Metric))
"""All of them, in the order of the pages that show them."""


def declared_for(command: str) -> set[str]:
    """The names that /metrics of this command shows."""
    return {metric.name for metric in METRICS if command in metric.commands}
