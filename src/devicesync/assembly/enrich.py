"""`enrich`: telemetry through an enricher, from a topic or a file into another."""

import logging
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from devicesync.assembly import adapters
from devicesync.assembly.admin import admin_port, used
from devicesync.assembly.enrich_readings import readings_of
from devicesync.assembly.event_file import opened
from devicesync.assembly.line_output import lines_into
from devicesync.assembly.long_run import LongRun
from devicesync.assembly.updater import refusal_limit
from devicesync.config import Settings
from devicesync.enrich.from_database import DatabaseEnricher
from devicesync.errors import Stopped, WrongUse
from devicesync.jobs import enrich as job
from devicesync.jobs.apply import lines_of
from devicesync.jobs.shared.patience import Patience
from devicesync.printable import encodable
from devicesync.status.declared import ENRICH_REFUSED, ENRICH_WRITTEN, Readings
from devicesync.url import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicesync.enrich.enricher import Enricher


@contextmanager
def enricher_of(settings: Settings, *, stamped: bool, mark_unavailable: bool) -> "Iterator[Enricher | DatabaseEnricher]":
    """Over Redis; where the cache is in memory, over the database. Raises WrongUse, Unavailable."""
    with closing(adapters.open_cache(settings)) as cache:
        is_private = cache.is_private
    if is_private:
        database = adapters.open_database(settings, read_only=True) if adapters.database_exists(settings) else None
        with closing(DatabaseEnricher(database, stamped=stamped)) as over_database:
            yield over_database
        return
    from devicesync.enrich.enricher import Enricher  # noqa: PLC0415 - only what is used is loaded

    with Enricher(settings.cache, stamped=stamped, mark_unavailable=mark_unavailable) as over_redis:
        yield over_redis


def enrich_file(
    paths: tuple[Path, Path],
    settings: Settings,
    enricher: "Enricher | DatabaseEnricher",
    run: LongRun,
) -> job.Progress:
    """Every line of the first file into the second; - is standard input or output.

    Raises WrongUse, TooManyBad, Unavailable, Stopped.
    """
    source, target = paths
    if target.exists() and "-" not in {str(source), str(target)} and target.samefile(source):
        raise WrongUse(f"{source} can't be read and written to at once", "name another file to write to")
    progress = job.Progress()
    try:
        with (
            opened(source, run.stop) as file,
            closing(adapters.open_dead_letters(settings)) as dead_letters,
            lines_into(target, run.stop) as write,
            run.watcher.bar(f"enrich {source.name}", file.size) as advance,
        ):
            name, limit = encodable(str(source)), refusal_limit(settings, at_once=True)
            work = job.Job(enricher, dead_letters, limit, run.stop, name, progress)
            job.enrich_lines(work, lines_of(file.lines, settings.batch_records), write, advance)
    except Stopped:
        raise Stopped(f"stopped; {target} is not complete: enrich the file again") from None
    return progress


def enrich_topic(
    urls: tuple[str, str],
    settings: Settings,
    enricher: "Enricher | DatabaseEnricher",
    run: LongRun,
) -> job.Progress:
    """From the first topic into the second, until the run ends. Raises WrongUse, TooManyBad, Unavailable."""
    from devicesync.dead_letters.kafka import KafkaDeadLetters  # noqa: PLC0415 - a file needs none of it
    from devicesync.log.kafka import KafkaReader, KafkaUrl, group_of  # noqa: PLC0415 - a file needs none of it
    from devicesync.log.kafka.forward import KafkaForward  # noqa: PLC0415 - a file needs none of it

    source_url, target_url = urls
    source, target, progress = KafkaUrl.parse(source_url), KafkaUrl.parse(target_url), job.Progress()
    _warnings_to_log()
    of_telemetry = msgspec.structs.replace(settings, log=source_url)

    def readings() -> Readings:
        return {ENRICH_WRITTEN: progress.written, ENRICH_REFUSED: progress.dead, **readings_of(enricher)}

    with (
        closing(KafkaForward(source, target)) as forward,
        closing(KafkaReader(source, group_of(settings.group, job.READER))) as reader,
        closing(KafkaDeadLetters(source)) as dead_letters,
        admin_port(
            run.admin_listen,
            of_telemetry,
            "enrich",
            job.READER,
            readings,
            uses={"source": masked(source_url), "target": masked(target_url), **used(settings, "cache")},
            target=forward.check,
            cache=enricher.check,
        ) as where,
        run.watcher.running(f"{masked(source_url)} -> {masked(target_url)}.{where}"),
    ):
        work = job.Job(enricher, dead_letters, refusal_limit(settings), run.stop, source.topic, progress)
        try:
            Patience(run.stop).until_it_works(forward.open)
        except Stopped:
            return progress
        job.enrich_topic(work, reader, forward, until_caught_up=run.until_caught_up)
    return progress


class _ToLog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log: Any = structlog.get_logger("devicesync")
        log.warning(record.getMessage())


def _warnings_to_log() -> None:
    """What the library logs goes where the command logs."""
    logger = logging.getLogger("devicesync")
    logger.addHandler(_ToLog())
    logger.propagate = False
