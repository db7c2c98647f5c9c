"""`backup redact`: an erased device's records out of the files of a backup."""

from itertools import chain
from pathlib import Path
from typing import Any

from devicesync import data_directory
from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import by_range
from devicesync.assembly.backup.archives import archives_at, in_each, refuse_forged, spool_of
from devicesync.assembly.watcher import Watcher
from devicesync.config import Settings
from devicesync.jobs.backup.redact import Redaction
from devicesync.jobs.shared.backed_up import refuse_the_future
from devicesync.jobs.shared.pruned import pruned_erasures


def redact(place: str, device_id: str, settings: Settings, watcher: Watcher, *, dry_run: bool) -> dict[str, Any]:
    """The document that `backup redact --json` prints. Raises Unavailable, Damaged, WrongUse."""
    document: dict[str, Any] = {"rewritten": [], "records": 0, "erased": 0, "not_erased": {}, "unlisted": [], "dry_run": dry_run}
    with spool_of(settings, data_directory.REDACT_SPOOL) as spool:
        in_each(archives_at(place), lambda archive: _redact(archive, settings, watcher, device_id, spool.path, document))
    return document


def _redact(  # noqa: PLR0917 - as above
    archive: Archive, settings: Settings, watcher: Watcher, device_id: str, spool: Path, document: dict[str, Any]
) -> None:
    redaction = Redaction(archive, device_id, spool, settings.max_clock_ahead_ms)
    entries = archive.manifest.entries()
    pruned = archive.manifest.pruned_entries()
    refuse_the_future([*pruned, *entries], settings.max_clock_ahead_ms)
    refuse_forged(archive, pruned, entries, settings, spool)
    of_pruned = pruned_erasures(archive, settings.max_clock_ahead_ms, device_id)
    erased = max((state.erased for states in of_pruned for state in states.values()), default=0)
    oldest: dict[tuple[int, int, int], int] = {}
    with_traces: list[str] = []
    with watcher.bar(f"look through {archive.topic}", sum(entry.bytes for entry in entries)) as advance:
        for entry in entries:
            traces = redaction.traces(entry)
            erased = max(erased, traces.erased)
            if traces.oldest is not None:
                oldest[entry.range] = min(traces.oldest, oldest.get(entry.range, traces.oldest))
                with_traces.append(entry.path)
            advance(entry.bytes)
    document["erased"] = max(erased, document["erased"])
    if with_traces and not erased:  # another log's erase says nothing of this one: a restore would bring the device back
        document["not_erased"][archive.topic] = with_traces
    left = by_range(entries)
    for spot, files in enumerate(left):
        if erased and oldest.get(files[0].range, erased + 1) <= erased:
            left[spot] = files if document["dry_run"] else redaction.rewrite(files, erased)
            document["records"] += _records_in(files) - _records_in(left[spot])
            document["rewritten"] += [entry.path for entry in files]
    if not document["dry_run"]:
        archive.remove_leftovers([*chain.from_iterable(left)], pruned)
    document["unlisted"] += archive.unlisted([*archive.manifest.pruned_entries(), *archive.manifest.entries()])


def _records_in(files: list[Entry]) -> int:
    return sum(entry.records for entry in files)
