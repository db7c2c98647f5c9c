"""What a process holds: memory, descriptors, threads, connections; and whether any of it grows."""

import os
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

_MOST_GROWTH = 0.05


class Vitals(NamedTuple):
    """Of one process at one moment. descriptors: all but the regular files that it has in hand below its directory."""

    memory_mib: float
    descriptors: int
    threads: int
    connections: int


class Watched(NamedTuple):
    """Of one process. memory: MiB under load, just after the warm-up and at the end.

    before, after: the most that it ever held in the warm-up, and what it holds at the end while nothing happens. A pool of
    connections grows to its bound by chance; what leaks goes beyond.
    """

    name: str
    memory_before: float
    memory_after: float
    before: Vitals
    after: Vitals

    @property
    def growth(self) -> float:
        """Of the memory, as a share."""
        return self.memory_after / self.memory_before - 1

    def faults(self) -> list[str]:
        """What has grown."""
        grown = [
            f"{self.name}: {what} went from {getattr(self.before, what)} to {getattr(self.after, what)}"
            for what in ("descriptors", "threads", "connections")
            if getattr(self.after, what) > getattr(self.before, what)
        ]
        if self.growth >= _MOST_GROWTH:
            grown.append(f"{self.name}: memory grew by {self.growth:.1%}")
        return grown


def vitals_of(process: int, directory: Path) -> Vitals:
    """Of the process with this id, whose files in hand lie below `directory`."""
    of_process = Path("/proc", str(process))
    targets = []
    for descriptor in (of_process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            targets.append(str(descriptor.readlink()))
    pages = int((of_process / "statm").read_text().split()[1])
    return Vitals(
        pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20),
        sum(not target.startswith(str(directory)) for target in targets),
        len([*(of_process / "task").iterdir()]),
        sum(target.startswith("socket:") for target in targets),
    )


def least(samples: list[Vitals]) -> Vitals:
    """The least of each: what a process holds while nothing happens."""
    return Vitals(*(min(column) for column in zip(*samples, strict=True)))


def most(samples: list[Vitals]) -> Vitals:
    """The most of each: what a process held at any time."""
    return Vitals(*(max(column) for column in zip(*samples, strict=True)))


def usual_memory(samples: list[Vitals]) -> float:
    """The median, in MiB."""
    return median(sample.memory_mib for sample in samples)
