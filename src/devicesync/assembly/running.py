"""`up` and `update`: an updater that follows its log, and what is served beside it."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from devicesync.assembly import named_log
from devicesync.assembly.long_run import LongRun
from devicesync.assembly.spans import spans_of
from devicesync.assembly.updater import Embedded, GroupMember, group_member, readings_of, updating
from devicesync.assembly.watcher import Watcher
from devicesync.config import Settings
from devicesync.errors import WrongUse
from devicesync.jobs.update import READER, Counts
from devicesync.status.declared import Readings
from devicesync.status.spans import Spans
from devicesync.url import masked


def keep_updating(command: str, settings: Settings, run: LongRun) -> Counts:
    """Follow the log until the run ends; what was done. `up` serves the API beside, `update` an admin port where asked to.

    Raises WrongUse, Held, Unavailable, TooManyBad.
    """
    _check_followed(named_log.followed_path(settings), run.watcher)
    with ExitStack() as opened:
        spans = opened.enter_context(spans_of(command, settings))
        assembled: Embedded | GroupMember
        if named_log.is_shared(settings):
            assembled = opened.enter_context(group_member(settings, run.stop, spans))
        else:
            assembled = opened.enter_context(updating(settings, command, run.stop, spans))
        where = opened.enter_context(_serving(command, settings, assembled, spans, run))
        opened.enter_context(closing(assembled.reader))  # first: it and the API may each have to wait for Kafka
        flow = f"{masked(settings.log)} -> {masked(settings.cache)}, {masked(settings.database)}"
        opened.enter_context(run.watcher.running(f"{flow}.{where}"))
        assembled.updater.run(until_caught_up=run.until_caught_up)
    return assembled.updater.counts


@contextmanager
def _serving(command: str, settings: Settings, assembled: Embedded | GroupMember, spans: Spans, run: LongRun) -> Iterator[str]:
    """Serve what the command serves beside its updater; words that say where."""
    if command == "up":
        from devicesync.assembly.serving import api_beside  # noqa: PLC0415 - `update` needs none of it

        with api_beside(settings, assembled, run.stop, spans) as (public, admin):
            yield f" API on {public}, admin on {admin}."
        return
    from devicesync.assembly.admin import admin_port, checks_of_stores, used  # noqa: PLC0415 - `up` needs none of it

    def readings() -> Readings:
        return readings_of(assembled)

    uses = used(settings, "log", "cache", "database")
    with (
        checks_of_stores(settings) as checks,
        admin_port(
            run.admin_listen, settings, "update", READER, readings, assembled, uses=uses, log=assembled.log.check, **checks
        ) as where,
    ):
        yield where


def _check_followed(path: Path | None, watcher: Watcher) -> None:
    """A log to follow may come later, its directory has to be there."""
    if path is None or path.exists():
        return
    if not path.parent.is_dir():
        raise WrongUse(f"can't follow {path}: there is no directory {path.parent}", "check the path in --log follow:PATH")
    watcher.say(f"devicesync: {path} is not there yet; it is followed from its first line on")
