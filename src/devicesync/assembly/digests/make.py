"""`digests make`: a store's digests into a file, by several processes; an interrupted run goes on."""

import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from devicesync.assembly.digests.source import Asked, Source, source_of
from devicesync.assembly.digests.work import Task, devices_of, sums_of
from devicesync.assembly.pool import Pool
from devicesync.assembly.progress import going_on, is_recent
from devicesync.assembly.watcher import Watcher
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.data_directory import HOLD, Hold
from devicesync.durable import check_room
from devicesync.errors import Held, Unavailable, WrongUse
from devicesync.jobs.digests.compare import to_read_again
from devicesync.jobs.digests.file import DigestFile, check_replaceable, load, load_whole, save
from devicesync.jobs.digests.sums import DeviceDigest, Digests

_SAVE_SECONDS = 2.0
_UNFINISHED = "digests"


class _Run(NamedTuple):
    """What is asked for, of what, and those who do it and hear of it. directory: for what is not done yet."""

    asked: Asked
    source: Source
    directory: Path
    pool: Pool
    watcher: Watcher

    def begin_anew(self) -> None:
        """Make everything ready to be read."""
        _remove(self.directory)
        self.directory.mkdir()
        self.source.prepare(self.pool)

    def results(
        self, title: str, work: Callable[[Any], Any], task: Task, done: Collection[str] = ()
    ) -> Iterator[tuple[int, Any]]:
        """What `work` returns of each part that is not done, as it comes."""
        task = task._replace(rate=self.asked.rate / self.asked.workers)
        left = {name: (task, number) for number in range(self.source.parts) if (name := str(number)) not in done}
        with self.watcher.bar(title, self.source.parts, unit="parts") as advance:
            advance(len(done))
            for result in self.pool.each(work, left):
                yield result
                advance(1)


def make(asked: Asked, settings: Settings, watcher: Watcher) -> DigestFile:
    """Make the file, or go on with it; or read the buckets again in which a whole one differs from `against`.

    Raises WrongUse, also where something else is in the file's place; Unavailable, Damaged.
    """
    check_replaceable(asked.path)
    other = load_whole(asked.against) if asked.against else None
    known = load(asked.path) if other and not asked.restart and asked.path.exists() else None
    with _room_beside(asked.path) as directory, source_of(asked, settings, watcher, directory) as source:
        if known and (known.of, known.place) != (source.made.of, source.made.place):
            raise WrongUse(f"{asked.path} has digests of the {known.of} {known.place}", "name another file")
        with _run(asked, source, directory, settings, watcher) as run:
            made = known or _whole(run)
        if other is None:
            return made
        with _run(asked, source, directory, settings, watcher) as run:
            return _with_devices(run, made, other)


@contextmanager
def _run(asked: Asked, source: Source, directory: Path, settings: Settings, watcher: Watcher) -> Iterator[_Run]:
    """One reading, by processes of its own: others would go on with files in the directory that the one before has removed."""
    with Pool(min(asked.workers, source.parts), settings, watcher.say) as pool:
        yield _Run(asked, source, directory, pool, watcher)


@contextmanager
def _room_beside(path: Path) -> Iterator[Path]:
    """A directory for what is not done yet, in one that has the file's name and goes when all is done.

    Raises Unavailable; Held while another process makes the same file; WrongUse where the directory is not one of ours.
    """
    room = path.with_name(f"{path.name}.work")
    directory = room / "parts"
    try:
        room.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_room(room)
        held = _held(room)
        try:
            directory.mkdir(exist_ok=True)
            yield directory
            _remove(directory)
            shutil.rmtree(room)
        finally:
            _leave(room, directory)
            held.release()
    except OSError as error:
        raise Unavailable(f"can't write {path}: {error.strerror}", "check the path, and the room there") from error


def _remove(directory: Path) -> None:
    """Remove what was read. However it ends, nobody goes on with a part of it."""
    (directory / _UNFINISHED).unlink(missing_ok=True)
    shutil.rmtree(directory)


def _held(room: Path) -> Hold:
    """The hold on it, whose file also tells that the directory is ours: what is in it will be removed."""
    if not _is_ours(room):
        raise WrongUse(f"{room} is there, and not of an interrupted `digests make`", "name another file, or remove it")
    try:
        return Hold(room, "digests make")
    except Held as held:
        raise Held(str(held), "wait until it is done, or name another file") from None


def _is_ours(room: Path) -> bool:
    """Whether nothing else is in it, and nobody else can have made it, nor a link in it: in a shared directory anybody can."""
    if room.is_symlink() or {path.name for path in room.iterdir()} - {HOLD, "parts"} or (room / "parts").is_symlink():
        return False
    return all(path.stat().st_uid == os.geteuid() for path in (room, *room.iterdir()))


def _leave(room: Path, directory: Path) -> None:
    """Leave nothing where nothing was begun."""
    with suppress(OSError):
        directory.rmdir()
        (room / HOLD).unlink()
        room.rmdir()


def _whole(run: _Run) -> DigestFile:
    unfinished = run.directory / _UNFINISHED
    made = None if run.asked.restart else _unfinished(unfinished, run.source.made)
    if made is None:
        run.begin_anew()
        made = run.source.made
        save(unfinished, made)
    else:
        run.watcher.say(going_on(len(made.done), run.source.parts, "parts are done", made.as_of_ms))
    digests, done = made.digests, {*made.done}
    saved_at = SYSTEM.monotonic()
    for number, packed in run.results("read", sums_of, run.source.task, made.done):
        digests += Digests(*packed)
        done.add(str(number))
        if len(done) < run.source.parts and SYSTEM.monotonic() - saved_at > _SAVE_SECONDS:
            save(unfinished, replace(made, done=[*done]).with_digests(digests))
            saved_at = SYSTEM.monotonic()
    made = replace(made, done=[], is_whole=True).with_digests(digests)
    save(run.asked.path, made)
    return made


def _with_devices(run: _Run, whole: DigestFile, other: DigestFile) -> DigestFile:
    """The file, with the devices of the buckets that differ, read now."""
    wanted = to_read_again(whole, other)
    devices: list[DeviceDigest] = []
    if wanted:
        run.begin_anew()
        title = f"read {len(wanted):,} buckets again"
        for _, some in run.results(title, devices_of, run.source.task._replace(wanted=wanted)):
            devices += some
    digests = whole.digests
    digests.drop(wanted)
    for device in devices:
        digests.add(device)
    read_at_ms = run.source.made.as_of_ms
    made = replace(whole, buckets=sorted(wanted), buckets_as_of_ms=read_at_ms, devices=devices, read_ms=run.source.made.read_ms)
    made = made.with_digests(digests)
    save(run.asked.path, made)
    return made


def _unfinished(path: Path, made: DigestFile) -> DigestFile | None:
    """What an interrupted run left for the same source, if it is recent: a store that was emptied since may give no sign."""
    found = load(path) if is_recent(path) else None
    return found if found and (found.of, found.place) == (made.of, made.place) else None
