"""`audit --sweep`: every device of both stores compared, by several processes, resumable."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from devicesync import data_directory
from devicesync.assembly import adapters
from devicesync.assembly.pool import Pool, kept, patiently, worker_settings
from devicesync.assembly.progress import Progress
from devicesync.assembly.watcher import Watcher
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.jobs.audit.findings import Findings
from devicesync.jobs.audit.held_ids import Sample, gather
from devicesync.jobs.audit.pace import Pace
from devicesync.jobs.audit.sweep import Found, differences, first_round, last_round, next_round
from devicesync.url import masked

if TYPE_CHECKING:
    from devicesync.stores import Stores

_AGES_SECONDS = (1.0, 10.0)
"""How long after the first round the others begin: what is on its way is no difference."""


class Sweep(NamedTuple):
    """What is asked for.

    one_in: look at one in so many devices. rate: at most so many devices a second, 0 for as many as it can.
    workers: so many processes.
    """

    one_in: int = 1
    rate: float = 0.0
    repairs: bool = False
    workers: int = 1


class Swept(NamedTuple):
    """What was found. Each difference is a document in JSON (docs/reference/json.md, "audit"); they are gone after `close`.

    as_of_ms: when it began, or the interrupted sweep that it goes on from, in ms since 1970.
    """

    findings: Findings
    resumed: bool
    as_of_ms: int
    cache_is_private: bool
    differences: Iterator[bytes]
    close: Callable[[], None]


def sweep(asked: Sweep, settings: Settings, watcher: Watcher, *, restart: bool) -> Swept:
    """Compare both stores. Raises WrongUse, Held, Unavailable."""
    if adapters.nothing_is_there(settings):
        return Swept(Findings(), False, SYSTEM.now_ms(), False, iter(()), lambda: None)  # noqa: FBT003 - named in Swept
    with ExitStack() as opened:
        opened.enter_context(data_directory.Hold(settings.directory / data_directory.SWEEP, "audit --sweep"))
        return _sweep(asked, settings, watcher, opened, restart=restart)


def _sweep(asked: Sweep, settings: Settings, watcher: Watcher, opened: ExitStack, *, restart: bool) -> Swept:
    directory = settings.directory / data_directory.AUDIT
    with closing(adapters.open_stores_to_compare(settings)) as both:
        both.cache.check()
        both.database.check()
        ranges, is_private = both.database.ranges, both.cache.is_private
        what: dict[str, Any] = {"database": [masked(settings.database), both.database.identity], "cache": masked(settings.cache)}
        what |= {"ranges": ranges, "one_in": asked.one_in, "repairs": asked.repairs}
        noted = settings.directory / data_directory.AUDIT_PROGRESS
        progress = Progress(noted, what, restart=restart, ages=True, directory=directory)
        if not progress.goes_on:
            progress.clear()
        numbers = _ranges(progress, ranges, asked.one_in)
        if progress.left(["held"]) and not is_private:
            with watcher.bar("ids in the cache", None, unit="devices") as advance:
                gather(both.cache, both.database.range_of, directory, {*numbers}, advance)
        progress.done("held", True)  # noqa: FBT003 - a part's result
    task = _Task(str(directory), max(asked.one_in * len(numbers) // ranges, 1), asked.rate / asked.workers, asked.repairs)
    with Pool(min(asked.workers, len(numbers)), settings, watcher.say) as pool:
        findings = _rounds(task, numbers, _Work(pool, progress, watcher))
    resumed, began_ms = progress.goes_on, progress.began_ms
    progress.finish()
    opened.callback(progress.clear)
    return Swept(findings, resumed, began_ms, is_private, differences(directory, numbers), opened.pop_all().close)


class _Task(NamedTuple):
    """What a worker needs to know. one_in: of the devices in a range."""

    directory: str
    one_in: int
    rate: float
    repairs: bool


class _Work(NamedTuple):
    """Those who do it, and those who hear of it."""

    pool: Pool
    progress: Progress
    watcher: Watcher

    def done(self, turn: int, title: str, work: Callable[[Any], Any], parts: dict[str, Any]) -> list[Any]:
        """The results of the turn's parts, those of an earlier run too."""
        left = self.progress.left(parts)
        if len(left) < len(parts):
            self.progress.tell(self.watcher, len(parts) - len(left), len(parts), "parts are done")
        with self.watcher.bar(f"{title} (round {turn})", len(parts), unit="parts") as advance:
            advance(len(parts) - len(left))
            for name, result in self.pool.each(work, {name: parts[name] for name in left}):
                self.progress.done(name, result)
                advance(1)
        return [self.progress.results[name] for name in parts]


def _ranges(progress: Progress, count: int, one_in: int) -> list[int]:
    """The ranges to look at: all, or for a sample some at random, the same ones when an interrupted audit goes on."""
    if progress.left(["ranges"]):
        chosen = random.sample(range(count), max(count // one_in, 1))
        progress.done("ranges", sorted(chosen))
    numbers: list[int] = progress.results["ranges"]
    return numbers


def _rounds(task: _Task, numbers: list[int], work: _Work) -> Findings:
    parts = {f"1/{number}": (task, number) for number in numbers}
    results = work.done(1, "compare", _first, parts)
    ended_at = SYSTEM.monotonic()
    findings = Findings(sum(checked for checked, _ in results))
    for turn, (seconds, do) in enumerate(zip(_AGES_SECONDS, (_next, _last), strict=True), 2):
        suspicious = [number for number, (_, suspects) in zip(numbers, results, strict=True) if suspects]
        if not suspicious:
            break
        SYSTEM.sleep(max(ended_at + seconds - SYSTEM.monotonic(), 0))
        results = work.done(turn, "look again", do, {f"{turn}/{number}": (task, number) for number in suspicious})
        numbers = suspicious
    else:
        for counted in results:
            findings += Findings(**counted)
    return findings


def _first(part: tuple[_Task, int]) -> tuple[str, Found]:
    task, number = part
    sample = Sample(task.one_in)
    pace: Pace = kept("pace", lambda: Pace(task.rate))
    return f"1/{number}", patiently(lambda: first_round(number, _stores(repairs=False), Path(task.directory), sample, pace))


def _next(part: tuple[_Task, int]) -> tuple[str, Found]:
    task, number = part
    return f"2/{number}", patiently(lambda: next_round(2, number, _stores(repairs=False), Path(task.directory)))


def _last(part: tuple[_Task, int]) -> tuple[str, dict[str, Any]]:
    task, number = part
    opened = _stores(repairs=task.repairs)
    return f"3/{number}", patiently(lambda: last_round(3, number, opened, Path(task.directory), repairs=task.repairs)).counts()


def _stores(*, repairs: bool) -> "Stores":
    """In a worker: its own connections to both stores, to write as well where it repairs."""
    opened: Stores = kept(f"compared {repairs}", lambda: adapters.open_stores_to_compare(worker_settings(), repairs=repairs))
    return opened
